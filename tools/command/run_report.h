#pragma once

#include <optional>
#include <string>

#include "flashmask/device.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"

namespace flashmask::command {

/// One kernel of a run: which it is, how it came here, and its launch.
struct KernelReport {
  KernelDescriptor descriptor;
  TileConfig config;
  KernelResources resources;
  KernelOrigin origin = KernelOrigin::kCompiled;
  std::string digest;
  double compile_seconds = 0;                  ///< of its request, like the next two
  double lookup_seconds = 0;                   ///< on disk
  bool is_stored = false;                      ///< in the cache
  std::size_t workspace_bytes = 0;             ///< of the launch
  double launch_seconds = 0;                   ///< of one launch on the host's clock; of the emulation on the emulator
  std::optional<PlanCounts> plan;              ///< of masks with vectors, when empty tiles are skipped
  std::optional<LaunchStatistics> statistics;  ///< of the emulator
};

/// Everything that `run` tells of one run.
struct RunReport {
  DeviceProperties device;
  reference::ForwardProblem problem;  ///< its numbers, without its data
  KernelReport forward;
  std::optional<KernelReport> backward;
  RuntimeCounters counters;  ///< of all requests, those of a plan's kernels among them
  bool skips = true;         ///< empty tiles of the mask (--no-skip)
  std::optional<reference::Comparison> verification;
  std::optional<reference::GradientComparison> gradient_verification;
  std::string output;
};

/// Some lines for a person.
std::string to_text(const RunReport& report);
/// One JSON object, "schema": 1.
std::string to_json(const RunReport& report);

}  // namespace flashmask::command
