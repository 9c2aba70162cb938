// Masks and values that a kernel is likely to stumble over.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

/// What the tests of a family share: small tiles of it, one runtime.
class FamilyTest : public testing::TestWithParam<Family> {
 protected:
  static TileConfig config() {
    if (GetParam().name == "wgmma")
      return {.tile_q = 128, .tile_k = 32, .warps = 8, .stages = 2, .overlap = true, .turns = true, .query_slots = 2};
    return {.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 2};
  }
  static Runtime& runtime() { return tested_runtime(GetParam()); }
  static KernelDescriptor descriptor_of(MaskForm form, DataType dtype = DataType::kBfloat16) {
    KernelDescriptor descriptor;
    descriptor.dtype = dtype;
    descriptor.head_dim_qk = descriptor.head_dim_v = 64;
    descriptor.mask_form = form;
    descriptor.target = GetParam().target;
    return descriptor;
  }
  static std::shared_ptr<const Kernel> kernel_of(const TestProblem& problem) {
    return runtime().request(problem.descriptor(), {.hint = {}, .config = config()});
  }
  static LaunchResult run(const TestProblem& problem, const LaunchChoice& choice = {}) {
    return run_forward(runtime(), *kernel_of(problem), problem, choice);
  }
  /// Within the bound, and, where there can be a plan, the same bits without it.
  static testing::AssertionResult is_correct_here(const TestProblem& problem, LaunchChoice choice = {}) {
    const auto kernel = kernel_of(problem);
    testing::AssertionResult correct = is_correct(runtime(), *kernel, problem, choice);
    if (!correct || problem.view().startend_row_indices.empty()) return correct;
    const LaunchResult planned = run_forward(runtime(), *kernel, problem, choice);
    choice.with_plan = false;
    const LaunchResult plain = run_forward(runtime(), *kernel, problem, choice);
    if (plain.output == planned.output && plain.lse == planned.lse) return correct;
    return testing::AssertionFailure() << describe(problem) << ": without a plan other bits come out";
  }
};

class ForwardMasks : public FamilyTest {};
class ForwardWindows : public FamilyTest {};
class ForwardCausal : public FamilyTest {};
class ForwardValues : public FamilyTest {};
class ForwardShapes : public FamilyTest {};

constexpr MaskForm kVectorForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};

TEST_P(ForwardMasks, ThatHideEverythingGiveZeroAndMinusInfinity) {
  for (MaskForm form : kVectorForms) {
    const TestProblem problem(descriptor_of(form), {.seqlen_q = 70, .seqlen_k = 70},
                              {.intervals = Intervals::kAllMasked});
    EXPECT_TRUE(is_correct_here(problem));
    EXPECT_EQ(reference::attention(problem.view()).lse[0], -std::numeric_limits<double>::infinity());
  }
}

TEST_P(ForwardMasks, ThatHideNothingGiveWhatTheFormWithoutVectorsGives) {
  for (MaskForm form : kVectorForms) {
    const Extents extents{.seqlen_q = 70, .seqlen_k = 90, .heads_q = 2};
    const KernelDescriptor with = descriptor_of(form);
    const KernelDescriptor without = descriptor_of(has_diagonal(form) ? MaskForm::kCausal : MaskForm::kNone);
    const LaunchResult masked = run(TestProblem(with, extents, {.intervals = Intervals::kNoneMasked, .seed = 5}));
    const LaunchResult plain = run(TestProblem(without, extents, {.seed = 5}));
    EXPECT_EQ(masked.output, plain.output) << to_string(form);
    EXPECT_EQ(masked.lse, plain.lse) << to_string(form);
  }
}

TEST_P(ForwardMasks, ThatHideWholeKeyTilesBeforeAndAfterTheVisibleOneLeaveNoNaN) {
  // Only keys of the second of four tiles are seen: the running maximum is -infinity before, and must survive after.
  for (MaskForm form : {MaskForm::kF2, MaskForm::kF4}) {
    TestProblem problem(descriptor_of(form), {.seqlen_q = 65, .seqlen_k = 4 * config().tile_k},
                        {.intervals = Intervals::kNoneMasked});
    const int vectors = vectors_per_column(form);
    for (int j = 0; j < problem.extents().seqlen_k; ++j) {
      if (j / config().tile_k == 1) continue;
      problem.intervals()[j * vectors] = 0;
      problem.intervals()[j * vectors + 1] = form == MaskForm::kF2 ? 0 : 65;
    }
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST_P(ForwardMasks, WhoseBoundsLieAroundTheEdgesOfTilesAreWithinTheBound) {
  for (MaskForm form : kVectorForms) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      const TestProblem problem(descriptor_of(form), {.seqlen_q = 250, .seqlen_k = 120},
                                {.intervals = Intervals::kEdges, .seed = seed});
      EXPECT_TRUE(is_correct_here(problem));
    }
  }
}

TEST_P(ForwardMasks, ThatLeaveEachRowOneKeyCopyItsValue) {
  // F2: column j is seen by row j alone.
  TestProblem problem(descriptor_of(MaskForm::kF2), {.seqlen_q = 70, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    problem.intervals()[2 * j] = j + 1;
    problem.intervals()[2 * j + 1] = j;
  }
  EXPECT_EQ(run(problem).output, problem.value());
  EXPECT_TRUE(is_correct_here(problem));
}

TEST_P(ForwardMasks, WithDeadRowsInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = 64, .seqlen_k = 70});
  for (int j = 0; j < 70; ++j) {
    const int odd_rows[] = {13, 14, 40, 49};
    std::copy_n(odd_rows, 4, &problem.intervals()[4 * j]);
  }
  EXPECT_TRUE(is_correct_here(problem));
}

TEST_P(ForwardMasks, WhoseIntervalsOverlapOrSwapPlacesMeanTheSame) {
  TestProblem one(descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 70}, {.seed = 3});
  TestProblem other(descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 70}, {.seed = 3});
  for (int j = 0; j < 70; ++j)
    std::swap_ranges(&other.intervals()[4 * j], &other.intervals()[4 * j + 2], &other.intervals()[4 * j + 2]);
  const LaunchResult a = run(one);
  const LaunchResult b = run(other);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.lse, b.lse);
  EXPECT_TRUE(is_correct_here(other));
}

TEST_P(ForwardWindows, OfEveryWidthAreWithinTheBound) {
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

TEST_P(ForwardWindows, ThatReachNoKeyOfSomeRowsLeaveThoseRowsDead) {
  // Top-left with more rows than keys: the last rows lie wholly to the right of the keys.
  KernelDescriptor descriptor = descriptor_of(MaskForm::kWindow);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  const TestProblem problem(descriptor, {.seqlen_q = 200, .seqlen_k = 40}, {.window_left = 3, .window_right = 3});
  EXPECT_TRUE(is_correct_here(problem));
  EXPECT_EQ(reference::attention(problem.view()).lse.back(), -std::numeric_limits<double>::infinity());
}

TEST_P(ForwardCausal, WithMoreQueriesThanKeysLeavesTheFirstRowsDead) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kC1, MaskForm::kC2}) {
    const TestProblem problem(descriptor_of(form), {.seqlen_q = 200, .seqlen_k = 40},
                              {.intervals = Intervals::kNoneMasked});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST_P(ForwardValues, OfLargeMagnitudeDoNotOverflow) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    const TestProblem problem(descriptor_of(MaskForm::kCausal, dtype), {.seqlen_q = 70, .seqlen_k = 70},
                              {.magnitude = 40});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST_P(ForwardValues, OfTinyMagnitudeDoNotVanish) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    const TestProblem problem(descriptor_of(MaskForm::kNone, dtype), {.seqlen_q = 70, .seqlen_k = 70},
                              {.magnitude = 1e-4f});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST_P(ForwardValues, AtTheLargestFiniteNumbersGiveNoNaN) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    TestProblem problem(descriptor_of(MaskForm::kC1, dtype), {.seqlen_q = 40, .seqlen_k = 40},
                        {.intervals = Intervals::kHoles, .softmax_scale = 1e-3f});
    const std::uint16_t largest = dtype == DataType::kFloat16 ? 0x7bff : 0x7f7f;
    std::ranges::fill(problem.value(), largest);
    const LaunchResult result = run(problem);
    EXPECT_EQ(result.overwritten, "");
    for (std::uint16_t bits : result.output) ASSERT_FALSE(std::isnan(reference::to_float(bits, dtype)));
    for (float lse : result.lse) ASSERT_FALSE(std::isnan(lse));
  }
}

TEST_P(ForwardValues, ScaleIsAppliedOnce) {
  for (float scale : {1e-3f, 0.125f, 1.0f, 7.5f}) {
    const TestProblem problem(descriptor_of(MaskForm::kCausal), {.seqlen_q = 40, .seqlen_k = 70},
                              {.softmax_scale = scale});
    EXPECT_TRUE(is_correct_here(problem));
  }
}

TEST_P(ForwardShapes, EveryRatioOfHeadsTakesItsOwnKeysAndMask) {
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

TEST_P(ForwardShapes, EveryLayoutGivesTheSameBits) {
  const TestProblem problem(descriptor_of(MaskForm::kC2),
                            {.batch = 2, .seqlen_q = 70, .seqlen_k = 75, .heads_q = 4, .heads_kv = 2, .heads_mask = 2});
  const LaunchResult packed = run(problem);
  for (Layout layout : {Layout::kPadded, Layout::kHeadsFirst, Layout::kInterleaved}) {
    EXPECT_TRUE(is_correct_here(problem, {.layout = layout}));
    const LaunchResult strided = run(problem, {.layout = layout});
    EXPECT_EQ(strided.output, packed.output);
    EXPECT_EQ(strided.lse, packed.lse);
  }
}

TEST_P(ForwardShapes, WithoutLseTheOutputIsTheSame) {
  const TestProblem problem(descriptor_of(MaskForm::kCausal), {.seqlen_q = 70, .seqlen_k = 75, .heads_q = 2});
  EXPECT_EQ(run(problem, {.wants_lse = false}).output, run(problem).output);
}

std::string name_of_family(const testing::TestParamInfo<Family>& test) {
  return test.param.name;
}

INSTANTIATE_TEST_SUITE_P(Family, ForwardMasks, testing::ValuesIn(tested_families()), name_of_family);
INSTANTIATE_TEST_SUITE_P(Family, ForwardWindows, testing::ValuesIn(tested_families()), name_of_family);
INSTANTIATE_TEST_SUITE_P(Family, ForwardCausal, testing::ValuesIn(tested_families()), name_of_family);
INSTANTIATE_TEST_SUITE_P(Family, ForwardValues, testing::ValuesIn(tested_families()), name_of_family);
INSTANTIATE_TEST_SUITE_P(Family, ForwardShapes, testing::ValuesIn(tested_families()), name_of_family);

}  // namespace
}  // namespace flashmask::forward_tests
