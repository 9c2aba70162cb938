#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/machine/machine.h"
#include "tools/command/emulate_elements.h"
#include "tools/safetensors/element_type.h"

namespace flashmask::command {

/// One run of the kernel, and the order that it saw.
struct EmulatedRun {
  emulator::Schedule schedule = emulator::Schedule::kRandom;
  std::uint64_t seed = 0;
  double seconds = 0;
  emulator::Statistics statistics;
};

/// A tensor or buffer after the first run.
struct EmulatedOutput {
  std::string name;
  safetensors::ElementType type = safetensors::ElementType::kF32;
  std::vector<std::uint64_t> shape;
  std::optional<ElementSummary> summary;
  std::optional<std::uint64_t> first_difference;  ///< the element that another run left otherwise
};

/// Everything that `emulate` tells of a kernel that broke no rule.
struct EmulateReport {
  std::string kernel;
  std::string entry;
  emulator::LaunchShape shape;
  std::vector<EmulatedRun> runs;  ///< none when orders were explored
  int preemptions = 0;            ///< of the exploration
  std::optional<emulator::Exploration> exploration;
  std::vector<EmulatedOutput> outputs;
  std::vector<std::string> notes;
  std::string output;  ///< empty: none was asked for
  bool statistics = false;
};

/// Some lines for a person.
std::string to_text(const EmulateReport& report);
/// One JSON object, "schema": 1.
std::string to_json(const EmulateReport& report);

}  // namespace flashmask::command
