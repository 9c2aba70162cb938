#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "flashmask/tile_config.h"
#include "flashmask/tuning.h"

namespace flashmask::tune {

/// A configuration could not be tried: what became of it, and why. The bench may have to be made anew.
class BenchFailure : public std::runtime_error {
 public:
  BenchFailure(TrialOutcome outcome, const std::string& reason) : std::runtime_error(reason), outcome_(outcome) {}
  /// kWrong, kCrashed or kHung.
  TrialOutcome outcome() const { return outcome_; }

 private:
  TrialOutcome outcome_;
};

struct BenchTime {
  double seconds = 0;               ///< the median of the samples
  int sm_clock_mhz = 0;             ///< right behind them; 0: not known
  std::uint64_t event_reasons = 0;  ///< of its clock, as NVML tells them (nvmlClocksEventReason…)
};

/// Times the configurations of one problem. Used by one thread.
class Bench {
 public:
  virtual ~Bench() = default;
  /// Compares results with the reference: must pass before time() means anything. Throws BenchFailure{kWrong, …}.
  virtual void check(const TileConfig& config) = 0;
  /// Throws BenchFailure{kCrashed or kHung}.
  virtual BenchTime time(const TileConfig& config, int samples) = 0;
};

}  // namespace flashmask::tune
