#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tune/ratios.h"

namespace flashmask::tune {

/// When differences count, and how long to measure.
struct DecisionPolicy {
  double band = 0.02;    ///< times that differ by less than this share are the same
  int least_rounds = 5;  ///< before anything is believed
  int most_rounds = 63;  ///< then the answer is what it is
  friend bool operator==(const DecisionPolicy&, const DecisionPolicy&) = default;
};

/// Which candidate is used, and why.
struct Decision {
  std::size_t winner = 0;
  double ratio = 1;            ///< of the winner's time to the default's; NaN: the default did not run to the end
  double band = 0;             ///< that was used: the policy's, or a wider one where the noise asks for it
  double noise = 0;            ///< two standard errors of a ratio after these rounds
  double agreement = 1;        ///< share of simulated repetitions of the measurement that have this winner
  bool settled = false;        ///< nearly all of them have, within the policy's band
  std::string reason;          ///< a sentence with numbers; "candidate 3" is one
  std::vector<double> ratios;  ///< of each candidate, from the rounds that it ran in; NaN: none beside the default
};

/// Decides so that fresh measurements of the same kernels give the same answer.
///
/// * The default, candidate 0, stays unless the fastest challenger leads by one and a half bands and the winner is
/// faster
///   by more than the band in a majority of rounds. A lead of two bands is never missed but by noise.
/// * Challengers within a tolerance of the fastest are tied, and the first in the fixed order wins. The tolerance lies
///   between 0.4 and 0.9 bands, where noise changes the winner least: in the middle of the widest stretch that has one
///   winner. A winner is so within the band of the truly fastest.
/// * Who has not run in every round never wins.
/// * An `incumbent`, the answer of an earlier measurement, stays unless some candidate is faster than it by more than
/// the
///   band in a majority of rounds.
/// * Where the noise exceeds half a band, the band is twice the noise, and the reason says so.
///
/// Pure and deterministic. Throws Error{kInvalidArgument} for rounds of unequal size, an incumbent that is no
/// candidate, or a band outside (0, 0.25].
Decision decide(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent = {});

/// Whether further rounds could change the answer: asked after every round, before the first one too. It looks after
/// every few rounds only, as who looks often stops by luck. Throws what decide() throws.
bool wants_more(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent = {});

/// Candidates that may still win or matter for who wins; the others need not be timed in the rounds that follow: NaN.
/// The default and the incumbent are always among them, unless they dropped out. Throws what decide() throws.
std::vector<bool> contenders(const Rounds& rounds, const DecisionPolicy& policy,
                             std::optional<std::size_t> incumbent = {});

/// Whether the default is within the band of the least time that the GPU could need: there is nothing to gain. False
/// where either is unknown (not positive).
bool is_near_roofline(double default_seconds, double roofline_seconds, const DecisionPolicy& policy);

}  // namespace flashmask::tune
