#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/tune/decision.h"

namespace flashmask::tune {

/// What the GPU said of its clocks in a round. It may be unknown.
struct RoundClocks {
  double sm_mhz = 0;                ///< 0: unknown
  std::uint64_t event_reasons = 0;  ///< as NVML tells them (nvmlClocksEventReason…)
};

/// What the rounds had in common: it cancels in ratios, but durations of such rounds are no absolute figures.
struct Drift {
  bool drifted = false;       ///< the default became slower or faster by more than the band and than its noise
  bool throttled = false;     ///< the GPU was too hot or short of power and slowed down: measure again, cooler
  bool power_capped = false;  ///< it ran at its power limit, as dense attention does: more noise, but no fault
  double change = 0;          ///< of the default's time, from the first third of the rounds to the last
  double clock_change = 0;    ///< of the SM clock likewise; 0 where it is unknown
  std::string reason;         ///< a sentence with numbers
};

/// From the durations of the default and, if there are any, the clocks, one for each round. Pure. Throws
/// Error{kInvalidArgument} for rounds without candidates and for clocks of another number than the rounds.
Drift detect_drift(const Rounds& rounds, std::span<const RoundClocks> clocks, const DecisionPolicy& policy);

}  // namespace flashmask::tune
