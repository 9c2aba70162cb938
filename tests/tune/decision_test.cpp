#include "runtime/tune/decision.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::tune {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr DecisionPolicy kPolicy;

/// Rounds without noise, in milliseconds' size.
Rounds quiet(const std::vector<double>& times, int count = 9) {
  std::vector<double> round;
  for (const double time : times) round.push_back(1e-3 * time);
  return Rounds(static_cast<std::size_t>(count), round);
}

std::size_t winner_of(const std::vector<double>& times) {
  return decide(quiet(times), kPolicy).winner;
}

TEST(Decision, AChallengerMustLeadTheDefaultByOneAndAHalfBands) {
  EXPECT_EQ(winner_of({1, 0.99}), 0U);
  EXPECT_EQ(winner_of({1, 0.975}), 0U);
  EXPECT_EQ(winner_of({1, 0.965}), 1U);
  EXPECT_EQ(winner_of({1, 0.96}), 1U);
}

TEST(Decision, ATieGoesToTheFirstInOrder) {
  EXPECT_EQ(winner_of({1, 0.9, 0.9, 0.9}), 1U);
  EXPECT_EQ(winner_of({1, 1.1, 0.905, 0.9}), 2U);
  EXPECT_EQ(winner_of({1, 0.93, 0.905, 0.9}), 2U);
  EXPECT_EQ(winner_of({1, 0.9, 0.905}), 1U);
  EXPECT_EQ(winner_of({1, 1, 1}), 0U);
}

TEST(Decision, ATieIsNeverWiderThanTheBand) {
  EXPECT_EQ(winner_of({1, 0.919, 0.9}), 2U);
}

TEST(Decision, ItSaysByHowMuchAndWhy) {
  const Decision decision = decide(quiet({1, 1.2, 0.905, 0.9}), kPolicy);
  EXPECT_EQ(decision.winner, 2U);
  EXPECT_NEAR(decision.ratio, 0.905, 1e-9);
  EXPECT_THAT(decision.ratios,
              ElementsAre(DoubleNear(1, 1e-9), DoubleNear(1.2, 1e-9), DoubleNear(0.905, 1e-9), DoubleNear(0.9, 1e-9)));
  EXPECT_DOUBLE_EQ(decision.band, kPolicy.band);
  EXPECT_TRUE(decision.settled);
  EXPECT_THAT(decision.reason, HasSubstr("candidate 2 takes 0.905 of the default's time, and is faster by more than "
                                         "2.0 % in 9 of 9 rounds; it is the first of 2 within "));
  EXPECT_THAT(decision.reason, HasSubstr("of the fastest (candidate 3, 0.900)"));

  EXPECT_THAT(
      decide(quiet({1, 0.98}), kPolicy).reason,
      HasSubstr("the default: the fastest other, candidate 1, takes 0.980 of its time over 9 rounds, and 0.971 or "
                "less is needed"));
}

TEST(Decision, AMajorityOfRoundsMustBeFaster) {
  // Twice as fast in five rounds of twelve, and a little in the others: the mean is far below, the majority is not.
  Rounds rounds = quiet({1, 0.99}, 12);
  for (std::size_t i = 0; i < 5; ++i) rounds[i][1] = 0.5e-3;
  EXPECT_EQ(decide(rounds, kPolicy).winner, 0U);
}

TEST(Decision, WhatARoundHasInCommonDoesNotCount) {
  Rounds rounds = quiet({1, 0.95, 0.9}, 8);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    for (double& time : rounds[i]) time *= 1 + 0.1 * static_cast<double>(i);
  }
  const Decision decision = decide(rounds, kPolicy);
  EXPECT_EQ(decision.winner, 2U);
  EXPECT_NEAR(decision.ratio, 0.9, 1e-9);
}

TEST(Decision, SlowSamplesMoveNothing) {
  Rounds rounds = quiet({1, 0.95, 0.9}, 9);
  rounds[2][2] *= 3;
  rounds[4][0] *= 1.2;
  rounds[7][1] *= 0.5;
  const Decision decision = decide(rounds, kPolicy);
  EXPECT_EQ(decision.winner, 2U);
  EXPECT_NEAR(decision.ratio, 0.9, 1e-9);
}

TEST(Decision, ACandidateThatDroppedOutNeverWins) {
  Rounds rounds = quiet({1, 0.5, 0.9}, 9);
  for (std::size_t i = 6; i < 9; ++i) rounds[i][1] = kNan;
  const Decision decision = decide(rounds, kPolicy);
  EXPECT_EQ(decision.winner, 2U);
  EXPECT_NEAR(decision.ratios[1], 0.5, 1e-9) << "what is known of it stays known";

  for (std::vector<double>& round : rounds) round[1] = kNan;
  EXPECT_THAT(decide(rounds, kPolicy).ratios[1], IsNan());
  for (std::vector<double>& round : rounds) round[2] = -1;
  EXPECT_EQ(decide(rounds, kPolicy).winner, 0U);
  EXPECT_THAT(decide(rounds, kPolicy).reason, HasSubstr("no other candidate ran in every round"));
}

TEST(Decision, WithoutTheDefaultTheOthersCompete) {
  Rounds rounds = quiet({1, 1.2, 0.9, 0.9}, 9);
  rounds.back()[0] = kNan;
  const Decision decision = decide(rounds, kPolicy);
  EXPECT_EQ(decision.winner, 2U);
  EXPECT_THAT(decision.ratio, IsNan());
  EXPECT_THAT(decision.reason, HasSubstr("the default did not run in every round"));

  const Rounds dead = quiet({kNan, kNan, 0}, 9);
  EXPECT_EQ(decide(dead, kPolicy).winner, 0U);
  EXPECT_THAT(decide(dead, kPolicy).reason, HasSubstr("no candidate ran in every round"));
  EXPECT_FALSE(wants_more(quiet({kNan, kNan, 0}, kPolicy.least_rounds), kPolicy));
}

TEST(Decision, NoiseWidensTheBandAndTheReasonSaysSo) {
  Rounds rounds = quiet({1, 0.95}, 6);
  constexpr double kFactors[] = {0.8, 1.0, 1.2, 0.9, 1.1, 1.05};
  for (std::size_t i = 0; i < rounds.size(); ++i) rounds[i][1] *= kFactors[i];
  const Decision decision = decide(rounds, kPolicy);
  EXPECT_GT(decision.noise, 0.05);
  EXPECT_DOUBLE_EQ(decision.band, 2 * decision.noise);
  EXPECT_EQ(decision.winner, 0U);
  EXPECT_FALSE(decision.settled);
  EXPECT_THAT(decision.reason, HasSubstr("asks for a band of"));
  EXPECT_TRUE(wants_more(rounds, kPolicy));
}

TEST(Decision, AnIncumbentStaysUnlessItIsBeatenByTheBand) {
  const Rounds rounds = quiet({1, 0.905, 0.9, 0.95});
  EXPECT_EQ(decide(rounds, kPolicy, 2).winner, 2U) << "and not the first of the tie";
  EXPECT_THAT(decide(rounds, kPolicy, 2).reason, HasSubstr("candidate 2 stays"));
  EXPECT_EQ(decide(rounds, kPolicy, 3).winner, 1U);
  EXPECT_EQ(decide(rounds, kPolicy, 0).winner, 1U);
  EXPECT_EQ(decide(quiet({1, 1.01, 0.99}), kPolicy, 1).winner, 1U);
  EXPECT_EQ(decide(quiet({1, 1.1, 0.99}), kPolicy, 1).winner, 0U) << "slower than the default";
}

TEST(Decision, AnIncumbentThatDroppedOutIsForgotten) {
  Rounds rounds = quiet({1, 0.9, 0.9});
  rounds.back()[2] = kNan;
  EXPECT_EQ(decide(rounds, kPolicy, 2).winner, 1U);
}

TEST(Decision, ItIsTheSameEveryTime) {
  const Rounds rounds = quiet({1, 0.971, 0.97, 0.96}, 5);
  const Decision once = decide(rounds, kPolicy);
  const Decision again = decide(rounds, kPolicy);
  EXPECT_EQ(once.winner, again.winner);
  EXPECT_EQ(once.agreement, again.agreement);
  EXPECT_EQ(once.reason, again.reason);
}

TEST(Decision, MoreRoundsAreWantedUntilTheAnswerIsSettled) {
  EXPECT_TRUE(wants_more({}, kPolicy));
  EXPECT_TRUE(wants_more(quiet({1, 0.9}, kPolicy.least_rounds - 1), kPolicy));
  EXPECT_FALSE(wants_more(quiet({1, 0.9}, kPolicy.least_rounds), kPolicy));
  EXPECT_TRUE(wants_more(quiet({1, 0.9704}, kPolicy.least_rounds), kPolicy)) << "at the threshold";
  EXPECT_FALSE(wants_more(quiet({1, 0.9704}, kPolicy.most_rounds), kPolicy));
  const Decision unsettled = decide(quiet({1, 0.9704}, kPolicy.least_rounds), kPolicy);
  EXPECT_FALSE(unsettled.settled);
  EXPECT_THAT(unsettled.reason, HasSubstr("not settled"));
}

TEST(Decision, NothingTimedIsTheDefault) {
  const Decision decision = decide({}, kPolicy);
  EXPECT_EQ(decision.winner, 0U);
  EXPECT_FALSE(decision.settled);
  EXPECT_TRUE(contenders({}, kPolicy).empty());
}

TEST(Decision, TheDefaultAloneIsSettled) {
  const Decision decision = decide(quiet({1}, 5), kPolicy);
  EXPECT_EQ(decision.winner, 0U);
  EXPECT_TRUE(decision.settled);
}

TEST(Decision, HopelessCandidatesNeedNotBeTimed) {
  Rounds rounds = quiet({1, 0.9, 0.93, 0.96, kNan}, kPolicy.least_rounds);
  EXPECT_THAT(contenders(rounds, kPolicy), ElementsAre(true, true, true, false, false));
  EXPECT_THAT(contenders(rounds, kPolicy, 3), ElementsAre(true, true, true, true, false));
  rounds.pop_back();
  EXPECT_THAT(contenders(rounds, kPolicy), ElementsAre(true, true, true, true, false)) << "too early to tell";
}

TEST(Decision, NearTheRooflineThereIsNothingToGain) {
  EXPECT_TRUE(is_near_roofline(1.019, 1, kPolicy));
  EXPECT_FALSE(is_near_roofline(1.021, 1, kPolicy));
  EXPECT_FALSE(is_near_roofline(1, 0, kPolicy));
  EXPECT_FALSE(is_near_roofline(kNan, 1, kPolicy));
  EXPECT_FALSE(is_near_roofline(1, kNan, kPolicy));
}

std::string error_of(const Rounds& rounds, const DecisionPolicy& policy, std::optional<std::size_t> incumbent = {}) {
  try {
    decide(rounds, policy, incumbent);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(Decision, WrongInputIsNamed) {
  EXPECT_THAT(error_of({{1, 2}, {1}}, kPolicy), HasSubstr("a round of 1 durations after rounds of 2"));
  EXPECT_THAT(error_of({{}}, kPolicy), HasSubstr("rounds without candidates"));
  EXPECT_THAT(error_of({{1, 2}}, kPolicy, 2), HasSubstr("incumbent 2 of 2 candidates"));
  EXPECT_THAT(error_of({{1, 2}}, {.band = 0}), HasSubstr("band = 0"));
  EXPECT_THAT(error_of({{1, 2}}, {.band = kNan}), Not(HasSubstr("no error")));
  EXPECT_THROW(wants_more({{1}}, {.band = 1}), Error);
  EXPECT_THROW(contenders({{1}, {}}, kPolicy), Error);
}

}  // namespace
}  // namespace flashmask::tune
