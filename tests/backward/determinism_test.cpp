// A deterministic backward gives the same bits at every run; another adds to the gradient of the queries in whatever
// order its CTAs come.

#include <fmt/format.h>
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
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::tested_device_kind;
using forward_tests::tested_policy;
using forward_tests::tested_runtime;

constexpr int kRuns = 20;
constexpr const char* kSchedules[] = {"random", "in-order", "reversed", "starved", "late-landings"};

/// An emulated device with an order of its own for each run.
std::unique_ptr<Runtime> emulated_run(int run) {
  constexpr int kCount = static_cast<int>(std::size(kSchedules));
  return std::make_unique<Runtime>(
      open_emulated_device(
          {.target = Target{}, .seed = static_cast<std::uint64_t>(run / kCount), .schedule = kSchedules[run % kCount]}),
      tested_policy());
}

/// What is added up: seven key tiles add to each of three row tiles, of four heads that share two key heads.
struct Sum {
  MaskForm form;
  Intervals intervals;
  TileConfig config;
};
std::string name_of(const Sum& sum) {
  return fmt::format("{}_{}", to_string(sum.form), sum.config.column_warps == 2 ? "pairs" : "warps");
}
void PrintTo(const Sum& sum, std::ostream* stream) {
  *stream << name_of(sum);
}

BackwardTestProblem problem_of(const Sum& sum, const Target& target, bool deterministic) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.head_dim_qk = descriptor.head_dim_v = 32;
  descriptor.mask_form = sum.form;
  descriptor.target = target;
  descriptor.deterministic = deterministic;
  return BackwardTestProblem(TestProblem(descriptor,
                                         {.seqlen_q = 90,
                                          .seqlen_k = 210,
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
  const BackwardTestProblem problem =
      problem_of(GetParam(), tested_runtime().device()->properties().target, /*deterministic=*/true);
  const LaunchResult first = run(tested_runtime(), GetParam(), problem);
  for (int n = 0; n < kRuns; ++n) {
    const auto emulated = tested_device_kind() == DeviceKind::kEmulator ? emulated_run(n) : nullptr;
    const LaunchResult result = run(emulated ? *emulated : tested_runtime(), GetParam(), problem);
    EXPECT_EQ(result.query_gradient, first.query_gradient) << "run " << n;
    EXPECT_EQ(result.key_gradient, first.key_gradient) << "run " << n;
    EXPECT_EQ(result.value_gradient, first.value_gradient) << "run " << n;
    // Sums before they are rounded, which hides most differences.
    EXPECT_TRUE(result.workspace == first.workspace) << "run " << n;
  }
}

TEST_P(DeterministicBackward, IsWithinTheBound) {
  const BackwardTestProblem problem =
      problem_of(GetParam(), tested_runtime().device()->properties().target, /*deterministic=*/true);
  const auto kernel =
      tested_runtime().request(problem.forward().descriptor(), {.hint = {}, .config = GetParam().config});
  EXPECT_TRUE(is_correct(tested_runtime(), *kernel, problem));
}

/// That deterministic kernels agree means something only where the orders do differ.
class EmulatedBackwardOrder : public testing::TestWithParam<Sum> {};

TEST_P(EmulatedBackwardOrder, OfSumsDiffersBetweenRunsOfAKernelThatIsNotDeterministic) {
  const BackwardTestProblem problem = problem_of(GetParam(), Target{}, /*deterministic=*/false);
  std::set<std::vector<std::byte>> sums;
  std::set<std::vector<std::uint16_t>> key_gradients;
  for (int n = 0; n < kRuns; ++n) {
    LaunchResult result = run(*emulated_run(n), GetParam(), problem);
    sums.insert(std::move(result.workspace));
    key_gradients.insert(std::move(result.key_gradient));
  }
  // Not every schedule has an order for each seed.
  EXPECT_GE(sums.size(), 8u) << "of " << kRuns << " runs";
  EXPECT_EQ(key_gradients.size(), 1u) << "a CTA alone makes a tile of dK";
}

constexpr TileConfig kWarps{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3};
constexpr TileConfig kPairs{32, 32, 4, 2, false, 2};
constexpr Sum kSums[] = {
    {MaskForm::kNone, Intervals::kFuzzed, kWarps},
    {MaskForm::kCausal, Intervals::kFuzzed, kPairs},
    {MaskForm::kC1, Intervals::kFuzzed, kWarps},
    {MaskForm::kF4, Intervals::kDocuments, kPairs},
};

INSTANTIATE_TEST_SUITE_P(Sums, DeterministicBackward, testing::ValuesIn(kSums),
                         [](const auto& test) { return name_of(test.param); });
INSTANTIATE_TEST_SUITE_P(Sums, EmulatedBackwardOrder, testing::ValuesIn(kSums),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
