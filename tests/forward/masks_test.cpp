// Masks and values that a kernel is likely to stumble over.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

constexpr TileConfig kConfig{.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 2};

KernelDescriptor descriptor_of(MaskForm form, DataType dtype = DataType::kBfloat16) {
  KernelDescriptor descriptor;
  descriptor.dtype = dtype;
  descriptor.head_dim_qk = descriptor.head_dim_v = 64;
  descriptor.mask_form = form;
  descriptor.target = tested_runtime().device()->properties().target;
  return descriptor;
}

testing::AssertionResult is_correct_here(const TestProblem& problem, const LaunchChoice& choice = {}) {
  Runtime& runtime = tested_runtime();
  return is_correct(runtime, *runtime.request(problem.descriptor(), {.hint = {}, .config = kConfig}), problem, choice);
}

constexpr MaskForm kVectorForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};

TEST(ForwardMasks, ThatHideEverythingGiveZeroAndMinusInfinity) {
  for (MaskForm form : kVectorForms) {
    const TestProblem problem(descriptor_of(form), {.seqlen_q = 70, .seqlen_k = 70},
                              {.intervals = Intervals::kAllMasked});
    EXPECT_TRUE(is_correct_here(problem));
    EXPECT_EQ(reference::attention(problem.view()).lse[0], -std::numeric_limits<double>::infinity());
  }
}

TEST(ForwardMasks, ThatHideNothingGiveWhatTheFormWithoutVectorsGives) {
  Runtime& runtime = tested_runtime();
  for (MaskForm form : kVectorForms) {
    const Extents extents{.seqlen_q = 70, .seqlen_k = 90, .heads_q = 2};
    const KernelDescriptor with = descriptor_of(form);
    const KernelDescriptor without = descriptor_of(has_diagonal(form) ? MaskForm::kCausal : MaskForm::kNone);
    const RequestOptions options{.hint = {}, .config = kConfig};
    const LaunchResult masked =
        run_forward(runtime, *runtime.request(with, options),
                    TestProblem(with, extents, {.intervals = Intervals::kNoneMasked, .seed = 5}));
    const LaunchResult plain =
        run_forward(runtime, *runtime.request(without, options), TestProblem(without, extents, {.seed = 5}));
    EXPECT_EQ(masked.output, plain.output) << to_string(form);
    EXPECT_EQ(masked.lse, plain.lse) << to_string(form);
  }
}

TEST(ForwardMasks, ThatHideWholeKeyTilesBeforeAndAfterTheVisibleOneLeaveNoNaN) {
  // Only keys of the second of four tiles are seen: the running maximum is -infinity before, and must survive after.
  for (MaskForm form : {MaskForm::kF2, MaskForm::kF4}) {
    TestProblem problem(descriptor_of(form), {.seqlen_q = 65, .seqlen_k = 4 * kConfig.tile_k},
                        {.intervals = Intervals::kNoneMasked});
    const int vectors = vectors_per_column(form);
    for (int j = 0; j < problem.extents().seqlen_k; ++j) {
      if (j / kConfig.tile_k == 1) continue;
      problem.intervals()[j * vectors] = 0;
      problem.intervals()[j * vectors + 1] = form == MaskForm::kF2 ? 0 : 65;
    }
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST(ForwardMasks, ThatLeaveEachRowOneKeyCopyItsValue) {
  // F2: column j is seen by row j alone.
  TestProblem problem(descriptor_of(MaskForm::kF2), {.seqlen_q = 70, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    problem.intervals()[2 * j] = j + 1;
    problem.intervals()[2 * j + 1] = j;
  }
  Runtime& runtime = tested_runtime();
  const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = kConfig});
  EXPECT_EQ(run_forward(runtime, *kernel, problem).output, problem.value());
  EXPECT_TRUE(is_correct_here(problem));
}

TEST(ForwardMasks, WithDeadRowsInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = 64, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    const int odd_rows[] = {13, 14, 40, 49};
    std::copy_n(odd_rows, 4, &problem.intervals()[4 * j]);
  }
  EXPECT_TRUE(is_correct_here(problem));
}

TEST(ForwardMasks, WhoseIntervalsOverlapOrSwapPlacesMeanTheSame) {
  TestProblem one(descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 70}, {.seed = 3});
  TestProblem other(descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 70}, {.seed = 3});
  for (int j = 0; j < 70; ++j)
    std::swap_ranges(&other.intervals()[4 * j], &other.intervals()[4 * j + 2], &other.intervals()[4 * j + 2]);
  Runtime& runtime = tested_runtime();
  const auto kernel = runtime.request(one.descriptor(), {.hint = {}, .config = kConfig});
  const LaunchResult a = run_forward(runtime, *kernel, one);
  const LaunchResult b = run_forward(runtime, *kernel, other);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.lse, b.lse);
  EXPECT_TRUE(is_correct_here(other));
}

TEST(ForwardWindows, OfEveryWidthAreWithinTheBound) {
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
                                      {infinite, 0}}) {
      for (const auto& [seqlen_q, seqlen_k] : {std::pair(70, 70), {33, 130}, {130, 33}}) {
        const TestProblem problem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k},
                                  {.window_left = left, .window_right = right});
        EXPECT_TRUE(is_correct_here(problem));
      }
    }
  }
}

TEST(ForwardWindows, ThatReachNoKeyOfSomeRowsLeaveThoseRowsDead) {
  // Top-left with more rows than keys: the last rows lie wholly to the right of the keys.
  KernelDescriptor descriptor = descriptor_of(MaskForm::kWindow);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  const TestProblem problem(descriptor, {.seqlen_q = 200, .seqlen_k = 40}, {.window_left = 3, .window_right = 3});
  EXPECT_TRUE(is_correct_here(problem));
  EXPECT_EQ(reference::attention(problem.view()).lse.back(), -std::numeric_limits<double>::infinity());
}

TEST(ForwardCausal, WithMoreQueriesThanKeysLeavesTheFirstRowsDead) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kC1, MaskForm::kC2}) {
    const TestProblem problem(descriptor_of(form), {.seqlen_q = 200, .seqlen_k = 40},
                              {.intervals = Intervals::kNoneMasked});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST(ForwardValues, OfLargeMagnitudeDoNotOverflow) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    const TestProblem problem(descriptor_of(MaskForm::kCausal, dtype), {.seqlen_q = 70, .seqlen_k = 70},
                              {.magnitude = 40});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST(ForwardValues, OfTinyMagnitudeDoNotVanish) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    const TestProblem problem(descriptor_of(MaskForm::kNone, dtype), {.seqlen_q = 70, .seqlen_k = 70},
                              {.magnitude = 1e-4f});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST(ForwardValues, AtTheLargestFiniteNumbersGiveNoNaN) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    TestProblem problem(descriptor_of(MaskForm::kC1, dtype), {.seqlen_q = 40, .seqlen_k = 40},
                        {.intervals = Intervals::kHoles, .softmax_scale = 1e-3f});
    const std::uint16_t largest = dtype == DataType::kFloat16 ? 0x7bff : 0x7f7f;
    std::ranges::fill(problem.value(), largest);
    Runtime& runtime = tested_runtime();
    const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = kConfig});
    const LaunchResult result = run_forward(runtime, *kernel, problem);
    EXPECT_EQ(result.overwritten, "");
    for (std::uint16_t bits : result.output) ASSERT_FALSE(std::isnan(reference::to_float(bits, dtype)));
    for (float lse : result.lse) ASSERT_FALSE(std::isnan(lse));
  }
}

TEST(ForwardValues, ScaleIsAppliedOnce) {
  for (float scale : {1e-3f, 0.125f, 1.0f, 7.5f}) {
    const TestProblem problem(descriptor_of(MaskForm::kCausal), {.seqlen_q = 40, .seqlen_k = 70},
                              {.softmax_scale = scale});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST(ForwardShapes, EveryRatioOfHeadsTakesItsOwnKeysAndMask) {
  for (const auto& [heads_q, heads_kv] : {std::pair(1, 1), {4, 4}, {4, 2}, {4, 1}, {6, 3}, {8, 1}}) {
    for (int heads_mask : {1, heads_kv, heads_q}) {
      const TestProblem problem(descriptor_of(MaskForm::kF4),
                                {.batch = 2,
                                 .seqlen_q = 33,
                                 .seqlen_k = 40,
                                 .heads_q = heads_q,
                                 .heads_kv = heads_kv,
                                 .heads_mask = heads_mask},
                                {.seed = static_cast<std::uint64_t>(heads_q * 10 + heads_mask)});
      EXPECT_TRUE(is_correct_here(problem));
    }
  }
}

TEST(ForwardShapes, EveryLayoutGivesTheSameBits) {
  Runtime& runtime = tested_runtime();
  const TestProblem problem(descriptor_of(MaskForm::kC2),
                            {.batch = 2, .seqlen_q = 70, .seqlen_k = 75, .heads_q = 4, .heads_kv = 2, .heads_mask = 2});
  const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = kConfig});
  const LaunchResult packed = run_forward(runtime, *kernel, problem);
  for (Layout layout : {Layout::kPadded, Layout::kHeadsFirst, Layout::kInterleaved}) {
    EXPECT_TRUE(is_correct_here(problem, {.layout = layout}));
    const LaunchResult strided = run_forward(runtime, *kernel, problem, {.layout = layout});
    EXPECT_EQ(strided.output, packed.output);
    EXPECT_EQ(strided.lse, packed.lse);
  }
}

TEST(ForwardShapes, WithoutLseTheOutputIsTheSame) {
  Runtime& runtime = tested_runtime();
  const TestProblem problem(descriptor_of(MaskForm::kCausal), {.seqlen_q = 70, .seqlen_k = 75, .heads_q = 2});
  const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = kConfig});
  EXPECT_EQ(run_forward(runtime, *kernel, problem, {.wants_lse = false}).output,
            run_forward(runtime, *kernel, problem).output);
}

}  // namespace
}  // namespace flashmask::forward_tests
