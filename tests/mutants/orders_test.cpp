// Whole kernels are never reported, and leave the same bits, whatever the order of their warps.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "tests/forward/tested_device.h"
#include "tests/mutants/families.h"

namespace flashmask::mutants {
namespace {

constexpr std::uint64_t kSeeds = 3;

/// FLASHMASK_SEEDS, for a longer look than a test run has time for.
std::uint64_t seeds() {
  const char* wanted = std::getenv("FLASHMASK_SEEDS");
  return wanted != nullptr ? std::stoull(wanted) : kSeeds;
}

Bytes run_in_order(const Scenario& scenario, const EmulatorOptions& order) {
  Runtime runtime(open_emulated_device(order), forward_tests::tested_policy());
  return scenario(runtime);
}

class Orders : public testing::TestWithParam<Family> {};

TEST_P(Orders, OfWarpsChangeNoBitAndMeetNoFault) {
  const std::uint64_t runs = seeds();
  for (const Scenario& scenario : GetParam().scenarios) {
    const bool ordered_sums = GetParam().ordered_sums;
    const Bytes expected = run_in_order(scenario, {.ordered_sums = ordered_sums});
    for (const char* schedule : {"random", "in-order", "reversed", "starved", "late-landings"}) {
      for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        const EmulatorOptions order{
            .target = Target{}, .seed = seed, .schedule = schedule, .ordered_sums = ordered_sums};
        EXPECT_TRUE(run_in_order(scenario, order) == expected)
            << "scenario " << &scenario - GetParam().scenarios.data() << ", " << schedule << ", seed " << seed;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Orders, testing::ValuesIn(families()),
                         [](const auto& test) { return test.param.name; });

class EveryOrder : public testing::TestWithParam<Family> {};

TEST_P(EveryOrder, WithOnePreemptionChangesNoBitAndMeetsNoFault) {
  for (const Scenario& scenario : GetParam().scenarios) {
    const EmulatorOptions order{.target = Target{}, .explored_preemptions = 1, .explored_runs = 300};
    EXPECT_TRUE(run_in_order(scenario, order) == run_in_order(scenario, {}));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryOrder, testing::ValuesIn(tiny_families()),
                         [](const auto& test) { return test.param.name; });

TEST(EmulatedDevice, RefusesAScheduleThatDoesNotExist) {
  try {
    open_emulated_device({.target = Target{}, .schedule = "fair"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("random in-order reversed starved late-landings"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace flashmask::mutants
