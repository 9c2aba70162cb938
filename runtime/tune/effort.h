#pragma once

#include <cstddef>

#include "flashmask/tuner.h"
#include "runtime/tune/decision.h"

namespace flashmask::tune {

/// What an effort spends.
struct EffortPlan {
  std::size_t most_members;  ///< of the space
  std::size_t finalists;     ///< at most, the default among them
  double most_behind;        ///< finalists take at most so many times as long as the fastest in the coarse timing
  int coarse_samples;
  int round_samples;
  DecisionPolicy decision;
};
EffortPlan plan_of(TuningEffort effort);

}  // namespace flashmask::tune
