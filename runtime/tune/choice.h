#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace flashmask::tune {

/// The rule of decide() for times that are known, without noise.
struct Choice {
  std::size_t winner = 0;
  std::size_t fastest = 0;  ///< of the challengers; 0: there is none
  double tolerance = 0;     ///< the winner is the first that is slower than the fastest by no more than this
  bool kept = false;        ///< the winner is the incumbent, for being one
};

/// Logarithms of times, infinity for who cannot win; at least one is finite. `log_band`: of 1 + the band. The
/// incumbent, if it is finite, stays while nothing leads it by more than the band.
Choice choose(std::span<const double> log_times, double log_band, std::optional<std::size_t> incumbent);

/// How far the fastest challenger must lead the default, in bands.
inline constexpr double kLeadInBands = 1.5;

}  // namespace flashmask::tune
