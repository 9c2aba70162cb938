#pragma once

#include <optional>
#include <string>

#include "flashmask/device.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"

namespace flashmask::command {

/// Everything that `run` tells of one run.
struct RunReport {
  DeviceProperties device;
  KernelDescriptor descriptor;
  TileConfig config;
  KernelResources resources;
  KernelOrigin origin = KernelOrigin::kCompiled;
  std::string digest;
  RuntimeCounters counters;
  reference::ForwardProblem problem;           ///< its numbers, without its data
  double launch_seconds = 0;                   ///< of one launch on the host's clock; of the emulation on the emulator
  bool skips = true;                           ///< empty tiles of the mask (--no-skip)
  std::optional<PlanCounts> plan;              ///< of masks with vectors, when empty tiles are skipped
  std::optional<LaunchStatistics> statistics;  ///< of the emulator
  std::optional<reference::Comparison> verification;
  std::string output;
};

/// Some lines for a person.
std::string to_text(const RunReport& report);
/// One JSON object, "schema": 1.
std::string to_json(const RunReport& report);

}  // namespace flashmask::command
