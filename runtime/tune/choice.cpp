#include "runtime/tune/choice.h"

#include <algorithm>
#include <cmath>

namespace flashmask::tune {
namespace {

/// By how much the winner leads the default at least, in bands: enough that it leads by one in a majority of rounds.
constexpr double kLeastLeadInBands = 1.25;

/// The greatest tolerance in bands, short of a band by what noise may add; and the least one, as a share of the
/// greatest: challengers closer than that are tied in any case.
constexpr double kGreatestTolerance = 0.9;
constexpr double kLeastTolerance = 0.44;

}  // namespace

Choice choose(std::span<const double> log_times, double log_band, std::optional<std::size_t> incumbent) {
  Choice choice;
  for (std::size_t i = 1; i < log_times.size(); ++i) {
    if (std::isfinite(log_times[i]) && (choice.fastest == 0 || log_times[i] < log_times[choice.fastest])) {
      choice.fastest = i;
    }
  }
  if (choice.fastest == 0) return choice;
  const double least = log_times[choice.fastest];
  if (incumbent && log_times[*incumbent] - std::min(least, log_times[0]) <= log_band) {
    choice.winner = *incumbent;
    choice.kept = true;
    return choice;
  }
  const double lead = log_times[0] - least;
  if (lead < kLeadInBands * log_band) return choice;

  // A challenger wins for tolerances from its own distance on, up to that of an earlier one.
  const double greatest = std::min(kGreatestTolerance * log_band, lead - kLeastLeadInBands * log_band);
  double end = greatest;
  double widest = 0;
  for (std::size_t i = 1; i < log_times.size(); ++i) {
    const double begin = std::max(log_times[i] - least, kLeastTolerance * greatest);
    if (begin >= end) continue;
    if (end - begin > widest) {
      widest = end - begin;
      choice.winner = i;
      choice.tolerance = (begin + end) / 2;
    }
    end = begin;
  }
  return choice;
}

}  // namespace flashmask::tune
