#pragma once

#include <cstddef>
#include <vector>

namespace flashmask::tune {

/// Seconds, [round][candidate]. Candidate 0 is the default configuration, the others are in the fixed order of the
/// space. Every round times every candidate once, in an order that varies from round to round: what a round has in
/// common cancels in ratios. A candidate that crashed, hung or was given up is NaN from then on.
using Rounds = std::vector<std::vector<double>>;

/// What rounds say of the candidates, in logarithms of time: there a percent is 0.01, whoever is divided by whom.
struct Ratios {
  std::size_t reference = 0;      ///< what the others are compared with: the default, or else the first that ran
  std::vector<bool> ran;          ///< in every round
  std::vector<double> log_ratio;  ///< to the reference; NaN: no round has both
  std::vector<double> error;      ///< standard error of each candidate's own part of its ratio
  double noise = 0;               ///< standard error of a typical ratio
};

/// Robust: a single slow sample among ten moves nothing. Throws Error{kInvalidArgument} for rounds of unequal size or
/// without candidates; there must be a round.
Ratios estimate_ratios(const Rounds& rounds);

/// Of a non-empty set.
double median(std::vector<double> values);

}  // namespace flashmask::tune
