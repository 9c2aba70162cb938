#include "runtime/tune/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "flashmask/error.h"
#include "runtime/tune/choice.h"
#include "runtime/tune/repetitions.h"

namespace flashmask::tune {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kGreatestBand = 0.25;

/// Of simulated repetitions, for a decision that is settled.
constexpr double kSettledAgreement = 0.98;

constexpr int kRoundsPerLook = 4;

/// Bands that a candidate is behind the fastest before it is given up.
constexpr double kHopelessInBands = 2;

void check(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent) {
  if (!(policy.band > 0 && policy.band <= kGreatestBand)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("band = {}: a share of a time above 0 and up to {} is needed", policy.band, kGreatestBand));
  }
  if (incumbent && !rounds.empty() && *incumbent >= rounds.front().size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("incumbent {} of {} candidates: it is their index", *incumbent, rounds.front().size()));
  }
}

/// What there is to decide from.
struct Evidence {
  Ratios ratios;
  std::vector<double> log_times;  ///< infinity: cannot win
  double band = 0;
  double log_band = 0;
  std::optional<std::size_t> incumbent;  ///< if it ran

  bool ran(std::size_t candidate) const { return ratios.ran[candidate]; }
  double noise() const { return 2 * ratios.noise; }
  double share(std::size_t candidate) const { return std::exp(log_times[candidate]); }
};

Evidence weigh(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent) {
  Evidence evidence{.ratios = estimate_ratios(rounds), .log_times = {}, .incumbent = {}};
  evidence.band = std::max(policy.band, 2 * evidence.noise());
  evidence.log_band = std::log1p(evidence.band);
  for (std::size_t i = 0; i < evidence.ratios.ran.size(); ++i) {
    evidence.log_times.push_back(evidence.ran(i) ? evidence.ratios.log_ratio[i] : kInfinity);
  }
  if (incumbent && evidence.ran(*incumbent)) evidence.incumbent = incumbent;
  return evidence;
}

std::ptrdiff_t rounds_won(const Rounds& rounds, std::size_t candidate, std::size_t other, double band) {
  return std::ranges::count_if(rounds, [=](const std::vector<double>& round) {
    return round[candidate] < (1 - band) * round[other];  // false of NaN
  });
}

bool beats(const Rounds& rounds, std::size_t candidate, std::size_t other, double band) {
  return 2 * rounds_won(rounds, candidate, other, band) > std::ssize(rounds);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

/// The choice, once the rules that go by rounds have been heard.
struct Verdict {
  std::size_t winner = 0;
  std::string reason;
};

Verdict keep_incumbent(const Rounds& rounds, const Evidence& evidence) {
  return {
      *evidence.incumbent,
      fmt::format("candidate {} stays: no other is faster than this earlier answer by more than {} in a majority of "
                  "{} rounds",
                  *evidence.incumbent, percent(evidence.band), rounds.size())};
}

Verdict keep_default(const Rounds& rounds, const Evidence& evidence, const Choice& choice) {
  if (choice.fastest == 0) return {0, "the default: no other candidate ran in every round"};
  return {0, fmt::format("the default: the fastest other, candidate {}, takes {:.3f} of its time over {} rounds, and "
                         "{:.3f} or less is needed (one and a half bands of {})",
                         choice.fastest, evidence.share(choice.fastest), rounds.size(),
                         std::exp(-kLeadInBands * evidence.log_band), percent(evidence.band))};
}

Verdict take_challenger(const Rounds& rounds, const Evidence& evidence, const Choice& choice) {
  const std::size_t winner = choice.winner;
  std::string reason;
  if (evidence.ran(0)) {
    const std::ptrdiff_t won = rounds_won(rounds, winner, 0, evidence.band);
    if (2 * won <= std::ssize(rounds)) {
      return {0,
              fmt::format("the default: candidate {} takes {:.3f} of its time, but is faster by more than {} in {} of "
                          "{} rounds only",
                          winner, evidence.share(winner), percent(evidence.band), won, rounds.size())};
    }
    reason = fmt::format(
        "candidate {} takes {:.3f} of the default's time, and is faster by more than {} in {} of {} "
        "rounds",
        winner, evidence.share(winner), percent(evidence.band), won, rounds.size());
  } else {
    reason = fmt::format("candidate {}: the default did not run in every round", winner);
  }
  const double limit = evidence.log_times[choice.fastest] + choice.tolerance;
  const std::ptrdiff_t tied = std::ranges::count_if(evidence.log_times, [=](double time) { return time <= limit; });
  if (tied > 1) {
    reason += fmt::format("; it is the first of {} within {} of the fastest (candidate {}, {:.3f})", tied,
                          percent(std::expm1(choice.tolerance)), choice.fastest, evidence.share(choice.fastest));
  }
  return {winner, std::move(reason)};
}

Verdict judge(const Rounds& rounds, const Evidence& evidence) {
  if (evidence.incumbent) {
    std::size_t rival = 0;
    while (rival < rounds.front().size() &&
           !(evidence.ran(rival) && beats(rounds, rival, *evidence.incumbent, evidence.band))) {
      ++rival;
    }
    if (rival == rounds.front().size()) return keep_incumbent(rounds, evidence);
  }
  const Choice choice = choose(evidence.log_times, evidence.log_band, {});
  return choice.winner == 0 ? keep_default(rounds, evidence, choice) : take_challenger(rounds, evidence, choice);
}

}  // namespace

Decision decide(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent) {
  check(rounds, policy, incumbent);
  Decision decision;
  decision.band = policy.band;
  if (rounds.empty()) {
    decision.reason = "the default: nothing was timed";
    return decision;
  }
  const Evidence evidence = weigh(rounds, policy, incumbent);
  decision.noise = evidence.noise();
  decision.band = evidence.band;
  for (std::size_t i = 0; i < evidence.log_times.size(); ++i) {
    decision.ratios.push_back(evidence.ran(0) ? std::exp(evidence.ratios.log_ratio[i])
                                              : std::numeric_limits<double>::quiet_NaN());
  }
  if (std::ranges::count(evidence.ratios.ran, true) == 0) {
    decision.ratio = decision.ratios.front();
    decision.settled = true;
    decision.reason = "the default: no candidate ran in every round";
    return decision;
  }
  Verdict verdict = judge(rounds, evidence);
  decision.winner = verdict.winner;
  decision.ratio = decision.ratios[verdict.winner];
  decision.agreement = agreement_of_repetitions(evidence.log_times, evidence.ratios.error, evidence.log_band,
                                                evidence.incumbent, verdict.winner);
  const bool is_widened = evidence.band > policy.band;
  decision.settled =
      std::ssize(rounds) >= policy.least_rounds && !is_widened && decision.agreement >= kSettledAgreement;
  decision.reason = std::move(verdict.reason);
  if (is_widened) {
    decision.reason += fmt::format("; the noise of {} asks for a band of {} instead of {}", percent(decision.noise),
                                   percent(decision.band), percent(policy.band));
  }
  if (decision.agreement < kSettledAgreement) {
    decision.reason += fmt::format("; not settled: {:.0f} % of simulated repetitions agree", 100 * decision.agreement);
  }
  return decision;
}

bool wants_more(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent) {
  check(rounds, policy, incumbent);
  const std::ptrdiff_t more = std::ssize(rounds) - policy.least_rounds;
  if (std::ssize(rounds) >= policy.most_rounds) return false;
  return more < 0 || more % kRoundsPerLook != 0 || !decide(rounds, policy, incumbent).settled;
}

std::vector<bool> contenders(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent) {
  check(rounds, policy, incumbent);
  if (rounds.empty()) return {};
  const Evidence evidence = weigh(rounds, policy, incumbent);
  std::vector<bool> contending = evidence.ratios.ran;
  if (std::ssize(rounds) < policy.least_rounds) return contending;
  const double fastest = *std::ranges::min_element(evidence.log_times);
  for (std::size_t i = 1; i < contending.size(); ++i) {
    if (i != evidence.incumbent && evidence.log_times[i] > fastest + kHopelessInBands * evidence.log_band) {
      contending[i] = false;
    }
  }
  return contending;
}

bool is_near_roofline(double default_seconds, double roofline_seconds, const DecisionPolicy& policy) {
  return roofline_seconds > 0 && default_seconds > 0 && default_seconds <= (1 + policy.band) * roofline_seconds;
}

}  // namespace flashmask::tune
