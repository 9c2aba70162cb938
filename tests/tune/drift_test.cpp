#include "runtime/tune/drift.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "flashmask/error.h"
#include "tests/tune/simulated_rounds.h"

namespace flashmask::tune {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr DecisionPolicy kPolicy;

Rounds of_default(const std::vector<double>& times) {
  Rounds rounds;
  for (const double time : times) rounds.push_back({1e-3 * time, 1e-3});
  return rounds;
}

// The default of backward_h100.json, full bf16 d64 4096: the first runs were slower by a fifth.
const std::vector<double> kSettling = {10.482, 10.436, 9.611, 9.111, 8.661, 8.528, 8.569, 8.461, 8.564};
// That of hopper_density_d128_h100.json, forward causal-document 8192, and two rounds more.
const std::vector<double> kSteady = {4.285, 4.287, 4.257, 4.261, 4.286, 4.266, 4.254, 4.262, 4.281};

TEST(Drift, ARecordedDriftIsSeen) {
  const Drift drift = detect_drift(of_default(kSettling), {}, kPolicy);
  EXPECT_TRUE(drift.drifted);
  EXPECT_NEAR(drift.change, -0.18, 0.01);
  EXPECT_THAT(drift.reason, HasSubstr("the default's time drifted by -17.9 % from the first third of 9 rounds"));
  EXPECT_FALSE(drift.throttled);
}

TEST(Drift, SteadyRoundsAreSteady) {
  const Drift drift = detect_drift(of_default(kSteady), {}, kPolicy);
  EXPECT_FALSE(drift.drifted);
  EXPECT_THAT(drift.reason, HasSubstr("steady"));
}

TEST(Drift, NoiseIsSeldomTakenForDrift) {
  int seen = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimulatedRounds gpu({1, 0.9}, {.sigma = 0.015, .drift = 0}, seed);
    Rounds rounds;
    for (int i = 0; i < 30; ++i) rounds.push_back(gpu.next());
    seen += detect_drift(rounds, {}, kPolicy).drifted ? 1 : 0;
  }
  EXPECT_LE(seen, 6);
}

TEST(Drift, FewRoundsSayNothing) {
  const Drift drift = detect_drift(of_default({1, 2, 3, 4, 5, 6, 7, 8}), {}, kPolicy);
  EXPECT_FALSE(drift.drifted);
  EXPECT_THAT(drift.reason, HasSubstr("8 rounds are too few to see a drift: 9 are needed"));
  EXPECT_FALSE(detect_drift({}, {}, kPolicy).drifted);
}

TEST(Drift, RoundsWithoutTheDefaultAreLeftOut) {
  std::vector<double> times = kSteady;
  times.push_back(std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(detect_drift(of_default(times), {}, kPolicy).drifted);
}

TEST(Drift, HeatThrottlesAndThePowerLimitDoesNot) {
  std::vector<RoundClocks> clocks(kSteady.size(), RoundClocks{.sm_mhz = 1980, .event_reasons = 0x4});
  const Drift capped = detect_drift(of_default(kSteady), clocks, kPolicy);
  EXPECT_TRUE(capped.power_capped);
  EXPECT_FALSE(capped.throttled);
  EXPECT_THAT(capped.reason, HasSubstr("power limit"));

  clocks[4].event_reasons = 0x20;
  const Drift hot = detect_drift(of_default(kSteady), clocks, kPolicy);
  EXPECT_TRUE(hot.throttled);
  EXPECT_THAT(hot.reason, HasSubstr("the GPU slowed down: too hot"));

  clocks.assign(kSteady.size(), RoundClocks{.sm_mhz = 1980, .event_reasons = 0x1 | 0x2});
  EXPECT_FALSE(detect_drift(of_default(kSteady), clocks, kPolicy).throttled) << "idle, clocks that someone set";
}

TEST(Drift, AFallingClockIsTold) {
  std::vector<RoundClocks> clocks;
  for (const double mhz : {1980, 1980, 1980, 1900, 1800, 1700, 1665, 1665, 1665}) clocks.push_back({.sm_mhz = mhz});
  const Drift drift = detect_drift(of_default(kSteady), clocks, kPolicy);
  EXPECT_NEAR(drift.clock_change, 1665.0 / 1980 - 1, 1e-9);
  EXPECT_THAT(drift.reason, HasSubstr("the SM clock went from 1980 to 1665 MHz"));

  clocks.assign(kSteady.size(), RoundClocks{});
  EXPECT_THAT(detect_drift(of_default(kSteady), clocks, kPolicy).reason, Not(HasSubstr("MHz")));
}

TEST(Drift, ClocksAreOneForEachRound) {
  const std::vector<RoundClocks> clocks(2);
  EXPECT_THROW(detect_drift(of_default(kSteady), clocks, kPolicy), Error);
  EXPECT_THROW(detect_drift({{}}, {}, kPolicy), Error);
}

}  // namespace
}  // namespace flashmask::tune
