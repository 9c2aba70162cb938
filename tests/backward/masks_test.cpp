// Masks and values that a backward kernel is likely to stumble over.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <utility>

#include "tests/backward/launch.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::tested_runtime;

// Two pairs of warps, each of which shares its keys.
constexpr TileConfig kConfig{32, 32, 4, 2, false, 2};

KernelDescriptor descriptor_of(MaskForm form, DataType dtype = DataType::kBfloat16) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.dtype = dtype;
  descriptor.head_dim_qk = descriptor.head_dim_v = 64;
  descriptor.mask_form = form;
  descriptor.target = tested_runtime().device()->properties().target;
  descriptor.deterministic = true;
  return descriptor;
}

std::shared_ptr<const Kernel> kernel_of(const KernelDescriptor& descriptor) {
  return tested_runtime().request(descriptor, {.hint = {}, .config = kConfig});
}

testing::AssertionResult is_correct_here(const BackwardTestProblem& problem, const LaunchChoice& choice = {}) {
  return is_correct(tested_runtime(), *kernel_of(problem.forward().descriptor()), problem, choice);
}
testing::AssertionResult is_correct_here(TestProblem problem, const LaunchChoice& choice = {}) {
  return is_correct_here(BackwardTestProblem(std::move(problem)), choice);
}

LaunchResult run_here(const BackwardTestProblem& problem, const LaunchChoice& choice = {}) {
  return run_backward(tested_runtime(), *kernel_of(problem.forward().descriptor()), problem, choice);
}
LaunchResult run_here(TestProblem problem, const LaunchChoice& choice = {}) {
  return run_here(BackwardTestProblem(std::move(problem)), choice);
}

testing::AssertionResult are_the_same_bits(const LaunchResult& one, const LaunchResult& other) {
  const auto differing = [](std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
    return count;
  };
  const std::size_t of_query = differing(one.query_gradient, other.query_gradient);
  const std::size_t of_key = differing(one.key_gradient, other.key_gradient);
  const std::size_t of_value = differing(one.value_gradient, other.value_gradient);
  if (of_query + of_key + of_value == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << of_query << " elements of dQ, " << of_key << " of dK and " << of_value
                                     << " of dV differ";
}

bool are_zeros(std::span<const std::uint16_t> gradient) {
  return std::ranges::all_of(gradient, [](std::uint16_t bits) { return (bits & 0x7fff) == 0; });
}

constexpr MaskForm kVectorForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};

TEST(BackwardMasks, ThatHideEverythingWriteZerosOverAllThatWasThere) {
  for (MaskForm form : kVectorForms)
    for (const bool with_plan : {true, false}) {
      const BackwardTestProblem problem(TestProblem(descriptor_of(form), {.seqlen_q = 70, .seqlen_k = 70, .heads_q = 2},
                                                    {.intervals = Intervals::kAllMasked}));
      EXPECT_TRUE(is_correct_here(problem, {.with_plan = with_plan}));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      EXPECT_TRUE(are_zeros(result.query_gradient));
      EXPECT_TRUE(are_zeros(result.key_gradient));
      EXPECT_TRUE(are_zeros(result.value_gradient));
    }
}

TEST(BackwardMasks, ThatHideNothingGiveWhatTheFormWithoutVectorsGives) {
  for (MaskForm form : kVectorForms)
    for (const bool with_plan : {true, false}) {
      const Extents extents{.seqlen_q = 70, .seqlen_k = 90, .heads_q = 2};
      const KernelDescriptor without = descriptor_of(has_diagonal(form) ? MaskForm::kCausal : MaskForm::kNone);
      const LaunchResult masked =
          run_here(TestProblem(descriptor_of(form), extents, {.intervals = Intervals::kNoneMasked, .seed = 5}),
                   {.with_plan = with_plan});
      EXPECT_TRUE(are_the_same_bits(masked, run_here(TestProblem(without, extents, {.seed = 5})))) << to_string(form);
    }
}

TEST(BackwardMasks, ThatHideWholeKeyTilesAroundTheVisibleOneWriteZerosThere) {
  // Only keys of the second of four tiles are seen.
  for (MaskForm form : {MaskForm::kF2, MaskForm::kF4})
    for (const bool with_plan : {true, false}) {
      TestProblem forward(descriptor_of(form), {.seqlen_q = 65, .seqlen_k = 4 * kConfig.tile_k},
                          {.intervals = Intervals::kNoneMasked});
      const int vectors = vectors_per_column(form);
      for (int j = 0; j < forward.extents().seqlen_k; ++j) {
        if (j / kConfig.tile_k == 1) continue;
        forward.intervals()[j * vectors] = 0;
        forward.intervals()[j * vectors + 1] = form == MaskForm::kF2 ? 0 : 65;
      }
      const BackwardTestProblem problem(std::move(forward));
      EXPECT_TRUE(is_correct_here(problem, {.with_plan = with_plan}));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      for (const auto* gradient : {&result.key_gradient, &result.value_gradient}) {
        const std::span<const std::uint16_t> all(*gradient);
        const std::size_t tile = all.size() / 4;
        EXPECT_TRUE(are_zeros(all.first(tile)));
        EXPECT_FALSE(are_zeros(all.subspan(tile, tile)));
        EXPECT_TRUE(are_zeros(all.last(2 * tile)));
      }
    }
}

TEST(BackwardMasks, ThatLeaveEachRowOneKeyCopyTheGradientOfItsOutput) {
  // F2: column j is seen by row j alone, with probability 1.
  TestProblem forward(descriptor_of(MaskForm::kF2), {.seqlen_q = 70, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    forward.intervals()[2 * j] = j + 1;
    forward.intervals()[2 * j + 1] = j;
  }
  const BackwardTestProblem problem(std::move(forward));
  EXPECT_EQ(run_here(problem).value_gradient, problem.output_gradient());
  EXPECT_TRUE(is_correct_here(problem));
}

TEST(BackwardMasks, WithDeadRowsInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = 64, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    const int odd_rows[] = {13, 14, 40, 49};
    std::copy_n(odd_rows, 4, &problem.intervals()[4 * j]);
  }
  EXPECT_TRUE(is_correct_here(std::move(problem)));
}

TEST(BackwardMasks, WithUnseenKeysInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kC2), {.seqlen_q = 70, .seqlen_k = 70},
                      {.intervals = Intervals::kNoneMasked});
  for (const int j : {0, 13, 14, 31, 32, 69}) {
    problem.intervals()[2 * j] = 0;
    problem.intervals()[2 * j + 1] = 70;
  }
  EXPECT_TRUE(is_correct_here(std::move(problem)));
}

/// Intervals of F4, [from, to) twice for each column.
TestProblem with_intervals(std::uint64_t seed, const std::function<std::array<int, 4>(int)>& of_column) {
  TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 70, .heads_q = 2}, {.seed = seed});
  for (int j = 0; j < 70; ++j) std::ranges::copy(of_column(j), &problem.intervals()[4 * j]);
  return problem;
}

TEST(BackwardMasks, WhoseIntervalsSwapPlacesOrOverlapMeanTheSame) {
  const auto first_end = [](int j) { return 10 + j % 23; };
  const auto second_begin = [](int j) { return 35 + j % 19; };
  const BackwardTestProblem apart(
      with_intervals(3, [&](int j) { return std::array{j % 7, first_end(j), second_begin(j), 60 + j % 5}; }));
  const BackwardTestProblem swapped(
      with_intervals(3, [&](int j) { return std::array{second_begin(j), 60 + j % 5, j % 7, first_end(j)}; }));
  const BackwardTestProblem overlapping(
      with_intervals(4, [&](int j) { return std::array{j % 7, second_begin(j), first_end(j), 60 + j % 5}; }));
  const BackwardTestProblem joined(with_intervals(4, [&](int j) { return std::array{j % 7, 60 + j % 5, 0, 0}; }));
  EXPECT_TRUE(is_correct_here(apart));
  EXPECT_TRUE(is_correct_here(joined));
  for (const bool with_plan : {true, false}) {
    EXPECT_TRUE(are_the_same_bits(run_here(apart), run_here(swapped, {.with_plan = with_plan})));
    EXPECT_TRUE(are_the_same_bits(run_here(joined), run_here(overlapping, {.with_plan = with_plan})));
  }
}

TEST(BackwardMasks, WhoseIntervalsAreEmptySwappedOrOutsideOfTheRowsHideNothing) {
  constexpr int kLeast = std::numeric_limits<int>::min(), kMost = std::numeric_limits<int>::max();
  const std::array<std::array<int, 2>, 6> nothing{{{0, 0}, {33, 33}, {50, 20}, {-9, -3}, {70, kMost}, {kMost, kLeast}}};
  const BackwardTestProblem plain(with_intervals(3, [](int) { return std::array{0, 0, 0, 0}; }));
  const BackwardTestProblem odd(with_intervals(3, [&](int j) {
    const std::array<int, 2>&one = nothing[j % 6], &other = nothing[j / 6 % 6];
    return std::array{one[0], one[1], other[0], other[1]};
  }));
  EXPECT_TRUE(is_correct_here(plain));
  for (const bool with_plan : {true, false})
    EXPECT_TRUE(are_the_same_bits(run_here(plain), run_here(odd, {.with_plan = with_plan})));
}

TEST(BackwardMasks, WithoutAPlanGiveTheSameBitsOfADeterministicKernelAndAreWithinTheBoundOfAnother) {
  for (MaskForm form : kVectorForms)
    for (const Intervals intervals : {Intervals::kFuzzed, Intervals::kDocuments, Intervals::kHoles}) {
      const Extents extents{.batch = 2, .seqlen_q = 100, .seqlen_k = 130, .heads_q = 2, .heads_mask = 2};
      KernelDescriptor descriptor = descriptor_of(form);
      const BackwardTestProblem problem(TestProblem(descriptor, extents, {.intervals = intervals, .seed = 12}));
      EXPECT_TRUE(are_the_same_bits(run_here(problem), run_here(problem, {.with_plan = false})))
          << describe(problem.forward());
      descriptor.deterministic = false;
      const BackwardTestProblem in_any_order(TestProblem(descriptor, extents, {.intervals = intervals, .seed = 12}));
      EXPECT_TRUE(is_correct_here(in_any_order));
      EXPECT_TRUE(is_correct_here(in_any_order, {.with_plan = false}));
    }
}

TEST(BackwardWindows, OfEveryWidthAreWithinTheBound) {
  const int infinite = std::numeric_limits<int>::max();
  for (CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
    KernelDescriptor descriptor = descriptor_of(MaskForm::kWindow);
    descriptor.causal_alignment = alignment;
    for (const auto& [left, right] : {std::pair(0, 0),
                                      {-1, -1},
                                      {-1, 0},
                                      {0, -1},
                                      {31, 32},
                                      {200, 1},
                                      {1, 200},
                                      {infinite, infinite},
                                      {infinite, 0}})
      for (const auto& [seqlen_q, seqlen_k] : {std::pair(70, 70), {33, 130}, {130, 33}})
        EXPECT_TRUE(is_correct_here(TestProblem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k},
                                                {.window_left = left, .window_right = right})));
  }
}

TEST(BackwardWindows, ThatReachNoKeyOfSomeRowsAndNoRowOfSomeKeysLeaveThoseZero) {
  // Top-left: the last rows lie wholly to the right of the keys, or the last keys wholly to the right of the rows.
  KernelDescriptor descriptor = descriptor_of(MaskForm::kWindow);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  for (const auto& [seqlen_q, seqlen_k] : {std::pair(200, 40), {40, 200}}) {
    const BackwardTestProblem problem(
        TestProblem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k}, {.window_left = 3, .window_right = 3}));
    EXPECT_TRUE(is_correct_here(problem));
    const LaunchResult result = run_here(problem);
    const std::span<const std::uint16_t> of_longer(seqlen_q > seqlen_k ? result.query_gradient : result.key_gradient);
    EXPECT_TRUE(are_zeros(of_longer.last(of_longer.size() / 2)));
    EXPECT_FALSE(are_zeros(of_longer.first(of_longer.size() / 2)));
  }
}

TEST(BackwardCausal, WithMoreQueriesThanKeysLeavesTheGradientOfTheFirstRowsZero) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kC1, MaskForm::kC2})
    for (const bool with_plan : {true, false}) {
      const BackwardTestProblem problem(
          TestProblem(descriptor_of(form), {.seqlen_q = 200, .seqlen_k = 40}, {.intervals = Intervals::kNoneMasked}));
      EXPECT_TRUE(is_correct_here(problem, {.with_plan = with_plan}));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      EXPECT_TRUE(are_zeros(std::span(result.query_gradient).first(160 * 64)));
    }
}

TEST(BackwardValues, OfLargeMagnitudeDoNotOverflow) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    EXPECT_TRUE(is_correct_here(
        TestProblem(descriptor_of(MaskForm::kCausal, dtype), {.seqlen_q = 70, .seqlen_k = 70}, {.magnitude = 40})));
}

TEST(BackwardValues, OfTinyMagnitudeDoNotVanish) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    EXPECT_TRUE(is_correct_here(
        TestProblem(descriptor_of(MaskForm::kCausal, dtype), {.seqlen_q = 70, .seqlen_k = 70}, {.magnitude = 1e-4f})));
}

testing::AssertionResult has_no_nan(std::span<const std::uint16_t> gradient, DataType dtype) {
  for (std::size_t i = 0; i < gradient.size(); ++i)
    if (std::isnan(reference::to_float(gradient[i], dtype)))
      return testing::AssertionFailure() << "element " << i << " of " << gradient.size();
  return testing::AssertionSuccess();
}

/// Queries of one value, and keys of one magnitude, every other one of which may be negative.
LaunchResult run_with_constants(DataType dtype, float query, float key, bool alternating) {
  TestProblem forward(descriptor_of(MaskForm::kC1, dtype), {.seqlen_q = 100, .seqlen_k = 100},
                      {.intervals = Intervals::kNoneMasked, .softmax_scale = 1e-3f});
  std::ranges::fill(forward.query(), reference::from_float(query, dtype));
  for (std::size_t i = 0; i < forward.key().size(); ++i)
    forward.key()[i] = reference::from_float(alternating && i / 64 % 2 != 0 ? -key : key, dtype);
  return run_here(std::move(forward));
}

TEST(BackwardValues, AtTheLargestFiniteNumbersGiveNoNaN) {
  constexpr float kLargestFloat16 = 65504.0f, kLargestBfloat16 = 3.3895314e38f;
  for (const bool alternating : {false, true}) {
    const LaunchResult half = run_with_constants(DataType::kFloat16, kLargestFloat16, kLargestFloat16, alternating);
    EXPECT_EQ(half.overwritten, "");
    EXPECT_TRUE(has_no_nan(half.query_gradient, DataType::kFloat16));
    EXPECT_TRUE(has_no_nan(half.key_gradient, DataType::kFloat16));
    EXPECT_TRUE(has_no_nan(half.value_gradient, DataType::kFloat16));
    // Infinite scores leave a P that is a number. dQ and dK are sums of products that overflow fp32 themselves.
    const LaunchResult wide = run_with_constants(DataType::kBfloat16, kLargestBfloat16, kLargestBfloat16, alternating);
    EXPECT_TRUE(has_no_nan(wide.value_gradient, DataType::kBfloat16));
    // As large as the scores allow.
    const LaunchResult uneven = run_with_constants(DataType::kBfloat16, 0x1p-90f, 0x1p100f, alternating);
    EXPECT_TRUE(has_no_nan(uneven.query_gradient, DataType::kBfloat16));
    EXPECT_TRUE(has_no_nan(uneven.key_gradient, DataType::kBfloat16));
    EXPECT_TRUE(has_no_nan(uneven.value_gradient, DataType::kBfloat16));
  }
}

TEST(BackwardValues, ScaleIsAppliedOnce) {
  for (float scale : {1e-3f, 0.125f, 1.0f, 7.5f})
    EXPECT_TRUE(is_correct_here(
        TestProblem(descriptor_of(MaskForm::kCausal), {.seqlen_q = 40, .seqlen_k = 70}, {.softmax_scale = scale})));
}

TEST(BackwardShapes, EveryRatioOfHeadsTakesItsOwnKeysAndMaskInEveryBatchEntry) {
  for (const auto& [heads_q, heads_kv] : {std::pair(1, 1), {4, 4}, {4, 2}, {4, 1}, {6, 3}, {8, 1}})
    for (int heads_mask : {1, heads_kv, heads_q})
      // One key tile, so that groups of heads are split where there is no other work, and two.
      for (int seqlen_k : {25, 40})
        EXPECT_TRUE(is_correct_here(TestProblem(descriptor_of(MaskForm::kF4),
                                                {.batch = seqlen_k == 25 ? 1 : 3,
                                                 .seqlen_q = 33,
                                                 .seqlen_k = seqlen_k,
                                                 .heads_q = heads_q,
                                                 .heads_kv = heads_kv,
                                                 .heads_mask = heads_mask},
                                                {.seed = static_cast<std::uint64_t>(heads_q * 10 + heads_mask)})));
}

TEST(BackwardShapes, EveryLayoutGivesTheSameBits) {
  const BackwardTestProblem problem(
      TestProblem(descriptor_of(MaskForm::kC2),
                  {.batch = 2, .seqlen_q = 70, .seqlen_k = 75, .heads_q = 4, .heads_kv = 2, .heads_mask = 2}));
  const LaunchResult packed = run_here(problem);
  EXPECT_TRUE(is_correct_here(problem));
  for (Layout layout : {Layout::kPadded, Layout::kHeadsFirst, Layout::kInterleaved}) {
    const LaunchResult strided = run_here(problem, {.layout = layout});
    EXPECT_EQ(strided.overwritten, "");
    EXPECT_TRUE(are_the_same_bits(strided, packed));
  }
}

}  // namespace
}  // namespace flashmask::backward_tests
