// A deterministic backward gives the same bits at every run; another adds to the gradient of the queries in whatever
// order its CTAs come.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::emulated_families;
using forward_tests::Family;
using forward_tests::ResizedDevice;
using forward_tests::tested_device_kind;
using forward_tests::tested_families;
using forward_tests::tested_policy;
using forward_tests::tested_runtime;

constexpr int kRuns = 20;
constexpr const char* kSchedules[] = {"random", "in-order", "reversed", "starved", "late-landings"};

/// What is added up: seven key tiles (with wgmma, three) add to each of three row tiles (two, one), of four heads that
/// share two key heads.
struct Sum {
  Family family;
  MaskForm form;
  Intervals intervals;
  TileConfig config;
  int seqlen_k = 210;
  int head_dim = 32;
};
std::string name_of(const Sum& sum) {
  return fmt::format("{}_{}_{}x{}_s{}{}", sum.family.name, to_string(sum.form), sum.config.tile_q, sum.config.tile_k,
                     sum.config.stages, sum.config.column_warps == 2 ? "_pairs" : "");
}
void PrintTo(const Sum& sum, std::ostream* stream) {
  *stream << name_of(sum);
}

std::vector<Sum> sums_of(const std::vector<Family>& families) {
  constexpr TileConfig kWarps{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3};
  constexpr TileConfig kPairs{32, 32, 4, 2, false, 2};
  constexpr TileConfig kSharedKeys{64, 64, 8, 2, false, 2};
  std::vector<Sum> all;
  for (const Family& family : families) {
    if (family.name == "mma_sync") {
      all.push_back({family, MaskForm::kNone, Intervals::kFuzzed, kWarps});
      all.push_back({family, MaskForm::kCausal, Intervals::kFuzzed, kPairs});
      all.push_back({family, MaskForm::kC1, Intervals::kFuzzed, kWarps});
      all.push_back({family, MaskForm::kF4, Intervals::kDocuments, kPairs});
    } else {
      all.push_back({family, MaskForm::kNone, Intervals::kFuzzed, kSharedKeys, 170});
      all.push_back({family, MaskForm::kCausal, Intervals::kFuzzed, {64, 128, 8, 3}, 290});
      all.push_back({family, MaskForm::kC1, Intervals::kFuzzed, {128, 128, 8, 2}, 290});
      all.push_back({family, MaskForm::kF4, Intervals::kFuzzed, kSharedKeys, 170});
      // Without room for the sums in shared memory.
      all.push_back({family, MaskForm::kF2, Intervals::kFuzzed, {128, 128, 8, 3}, 290, 64});
    }
  }
  return all;
}

/// An emulated device with an order of its own for each run, and room for CTAs that meet in every order.
std::unique_ptr<Runtime> emulated_run(const Sum& sum, int run, bool ordered_sums = false) {
  constexpr int kCount = static_cast<int>(std::size(kSchedules)), kMultiprocessors = 4;
  return std::make_unique<Runtime>(
      std::make_shared<ResizedDevice>(open_emulated_device({.target = sum.family.target,
                                                            .seed = static_cast<std::uint64_t>(run / kCount),
                                                            .schedule = kSchedules[run % kCount],
                                                            .ordered_sums = ordered_sums}),
                                      kMultiprocessors),
      tested_policy());
}

BackwardTestProblem problem_of(const Sum& sum, bool deterministic) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.head_dim_qk = descriptor.head_dim_v = sum.head_dim;
  descriptor.mask_form = sum.form;
  descriptor.target = sum.family.target;
  descriptor.deterministic = deterministic;
  return BackwardTestProblem(TestProblem(descriptor,
                                         {.seqlen_q = 90,
                                          .seqlen_k = sum.seqlen_k,
                                          .heads_q = 4,
                                          .heads_kv = 2,
                                          .heads_mask = vectors_per_column(sum.form) > 0 ? 4 : 1},
                                         {.intervals = sum.intervals, .seed = 21}));
}

LaunchResult run(Runtime& runtime, const Sum& sum, const BackwardTestProblem& problem) {
  const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = sum.config});
  LaunchResult result = run_backward(runtime, *kernel, problem);
  EXPECT_EQ(result.overwritten, "");
  return result;
}

class DeterministicBackward : public testing::TestWithParam<Sum> {};

TEST_P(DeterministicBackward, GivesTheSameBitsInTwentyRuns) {
  const BackwardTestProblem problem = problem_of(GetParam(), /*deterministic=*/true);
  const bool is_emulated = tested_device_kind() == DeviceKind::kEmulator;
  LaunchResult first;
  for (int n = 0; n < kRuns; ++n) {
    // What is added in bulk must be ordered whatever the order of a run.
    const auto emulated = is_emulated ? emulated_run(GetParam(), n, /*ordered_sums=*/true) : nullptr;
    const LaunchResult result = run(emulated ? *emulated : tested_runtime(GetParam().family), GetParam(), problem);
    if (n == 0) first = result;
    EXPECT_EQ(result.query_gradient, first.query_gradient) << "run " << n;
    EXPECT_EQ(result.key_gradient, first.key_gradient) << "run " << n;
    EXPECT_EQ(result.value_gradient, first.value_gradient) << "run " << n;
    // Sums before they are rounded, which hides most differences.
    EXPECT_TRUE(result.workspace == first.workspace) << "run " << n;
  }
}

TEST_P(DeterministicBackward, IsWithinTheBound) {
  const BackwardTestProblem problem = problem_of(GetParam(), /*deterministic=*/true);
  Runtime& runtime = tested_runtime(GetParam().family);
  const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = GetParam().config});
  EXPECT_TRUE(is_correct(runtime, *kernel, problem));
}

/// That deterministic kernels agree means something only where the orders do differ.
class EmulatedBackwardOrder : public testing::TestWithParam<Sum> {};

TEST_P(EmulatedBackwardOrder, OfSumsDiffersBetweenRunsOfAKernelThatIsNotDeterministic) {
  const BackwardTestProblem problem = problem_of(GetParam(), /*deterministic=*/false);
  std::set<std::vector<std::byte>> sums;
  std::set<std::vector<std::uint16_t>> key_gradients;
  for (int n = 0; n < kRuns; ++n) {
    LaunchResult result = run(*emulated_run(GetParam(), n), GetParam(), problem);
    sums.insert(std::move(result.workspace));
    key_gradients.insert(std::move(result.key_gradient));
  }
  // Not every schedule has an order for each seed.
  EXPECT_GE(sums.size(), 8u) << "of " << kRuns << " runs";
  EXPECT_EQ(key_gradients.size(), 1u) << "a CTA alone makes a tile of dK";
}

/// And that no bulk sum is reported as out of order, only where others are.
TEST(EmulatedBulkSums, HaveNoOrderInAKernelThatIsNotDeterministic) {
  const Family wgmma = emulated_families().back();
  for (const TileConfig& config : {TileConfig{64, 64, 8, 2, false, 2}, TileConfig{64, 128, 8, 2}}) {
    const Sum sum{wgmma, MaskForm::kNone, Intervals::kFuzzed, config};
    const BackwardTestProblem problem = problem_of(sum, /*deterministic=*/false);
    try {
      run(*emulated_run(sum, 0, /*ordered_sums=*/true), sum, problem);
      ADD_FAILURE() << to_string(config) << ": sums in any order were taken for ordered ones";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("cp.reduce.async.bulk")) << to_string(config);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sums, DeterministicBackward, testing::ValuesIn(sums_of(tested_families())),
                         [](const auto& test) { return name_of(test.param); });
INSTANTIATE_TEST_SUITE_P(Sums, EmulatedBackwardOrder, testing::ValuesIn(sums_of(emulated_families())),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
