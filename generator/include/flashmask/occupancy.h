#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/target_limits.h"

namespace flashmask {

/// What one CTA takes of an SM.
struct CtaNeeds {
  int warps = 0;
  int registers_per_thread = 0;
  int shared_bytes = 0;
};

/// What of an SM is used up first.
enum class SmLimit { kSharedMemory, kRegisters, kWarps, kCtas };
/// "shared memory", "registers", "warps" or "CTAs".
FLASHMASK_API std::string_view to_string(SmLimit limit);

/// How many equal CTAs an SM holds at a time by each of its limits; 0: not one.
struct Occupancy {
  int by_shared_memory = 0;
  int by_registers = 0;
  int by_warps = 0;
  int by_ctas = 0;

  friend bool operator==(const Occupancy&, const Occupancy&) = default;
};

/// As NVIDIA's occupancy calculator counts. Pure.
FLASHMASK_API Occupancy estimate_occupancy(const CtaNeeds& needs, const TargetLimits& limits);
/// The least of the four: what an SM holds.
FLASHMASK_API int ctas_per_sm(const Occupancy& occupancy);
/// Which of the four it is; of equal ones the first in the order of SmLimit.
FLASHMASK_API SmLimit limit_of(const Occupancy& occupancy);

/// The limits by which not even one CTA fits.
FLASHMASK_API std::set<SmLimit> exceeded_limits(const Occupancy& occupancy);
/// Every limit because of which not even one CTA fits, each as a sentence that names it, what is needed and what
/// `target` allows.
FLASHMASK_API std::vector<std::string> broken_limits(const CtaNeeds& needs, const TargetLimits& limits,
                                                     std::string_view target);

}  // namespace flashmask
