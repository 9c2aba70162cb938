#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "emulator/machine/machine.h"

namespace flashmask::command {

/// --trace: whose instructions are printed.
struct TraceChoice {
  std::array<std::uint32_t, 3> cta = {0, 0, 0};
  std::uint32_t warp = 0;     ///< in the CTA
  std::uint32_t lanes = ~0u;  ///< an instruction that none of these lanes runs is left out
};

struct EmulateArguments {
  std::filesystem::path kernel;
  std::string launch;                ///< the path of a launch spec; "-": standard input
  std::filesystem::path output;      ///< empty: none
  std::optional<std::string> entry;  ///< empty: the spec's, else the only one
  std::uint64_t seed = 0;            ///< of the first run; each further one takes the next
  std::uint64_t repeat = 1;          ///< runs of each schedule
  emulator::Schedule schedule = emulator::Schedule::kRandom;
  bool all_schedules = false;
  std::optional<int> explore;  ///< preemptions; instead of runs by seed
  bool races = true;
  bool pedantic = false;
  std::optional<TraceChoice> trace;
  std::uint64_t trace_lines = 0;
  bool statistics = false;
  bool json = false;
};

}  // namespace flashmask::command
