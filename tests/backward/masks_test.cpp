// Masks and values that a backward kernel is likely to stumble over.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::Family;
using forward_tests::tested_families;
using forward_tests::tested_runtime;

/// Tiles of a family.
struct Tiles {
  Family family;
  TileConfig config;
  DataType dtype = DataType::kBfloat16;
};
std::string name_of(const Tiles& tiles) {
  return fmt::format("{}_{}x{}", tiles.family.name, tiles.config.tile_q, tiles.config.tile_k);
}
void PrintTo(const Tiles& tiles, std::ostream* stream) {
  *stream << name_of(tiles);
}

/// With wgmma a thread tests 32, 64 or 128 rows at a time: all tiles there are. Else two pairs of warps, each of which
/// shares its keys.
std::vector<Tiles> all_tiles() {
  std::vector<Tiles> all;
  for (const Family& family : tested_families()) {
    if (family.name == "wgmma") {
      all.push_back({family, {64, 64, 8, 2, false, 2}});
      all.push_back({family, {64, 128, 8, 2}, DataType::kFloat16});
      all.push_back({family, {128, 128, 8, 2}});
    } else {
      all.push_back({family, {32, 32, 4, 2, false, 2}});
    }
  }
  return all;
}

/// Of each family, what is tested where tiles make no difference.
std::vector<Tiles> some_tiles() {
  std::vector<Tiles> all = all_tiles();
  std::erase_if(all, [](const Tiles& tiles) { return tiles.family.name == "wgmma" && tiles.config.column_warps == 1; });
  return all;
}

class TilesTest : public testing::TestWithParam<Tiles> {
 protected:
  static const TileConfig& config() { return GetParam().config; }
  static Runtime& runtime() { return tested_runtime(GetParam().family); }
  static int head_dim() { return GetParam().family.name == "wgmma" ? 32 : 64; }
  /// Lengths that lie in tiles as these do in tiles of 32.
  static int rows(int of_32) { return of_32 * config().tile_q / 32; }
  static int keys(int of_32) { return of_32 * config().tile_k / 32; }

  static KernelDescriptor descriptor_of(MaskForm form) { return descriptor_of(form, GetParam().dtype); }
  static KernelDescriptor descriptor_of(MaskForm form, DataType dtype) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.dtype = dtype;
    descriptor.head_dim_qk = descriptor.head_dim_v = head_dim();
    descriptor.mask_form = form;
    descriptor.target = GetParam().family.target;
    descriptor.deterministic = true;
    return descriptor;
  }
  static std::shared_ptr<const Kernel> kernel_of(const KernelDescriptor& descriptor) {
    return runtime().request(descriptor, {.hint = {}, .config = config()});
  }

  static testing::AssertionResult is_correct_here(const BackwardTestProblem& problem, const LaunchChoice& choice = {}) {
    return is_correct(runtime(), *kernel_of(problem.forward().descriptor()), problem, choice);
  }
  static testing::AssertionResult is_correct_here(TestProblem problem, const LaunchChoice& choice = {}) {
    return is_correct_here(BackwardTestProblem(std::move(problem)), choice);
  }
  static testing::AssertionResult is_correct_here(const LaunchResult& result, const BackwardTestProblem& problem) {
    return is_correct(result, *kernel_of(problem.forward().descriptor()), problem);
  }

  static LaunchResult run_here(const BackwardTestProblem& problem, const LaunchChoice& choice = {}) {
    return run_backward(runtime(), *kernel_of(problem.forward().descriptor()), problem, choice);
  }
  static LaunchResult run_here(TestProblem problem, const LaunchChoice& choice = {}) {
    return run_here(BackwardTestProblem(std::move(problem)), choice);
  }
};

class BackwardMasks : public TilesTest {
 protected:
  /// Intervals of F4, [from, to) twice for each column.
  static TestProblem with_intervals(std::uint64_t seed, const std::function<std::array<int, 4>(int)>& of_column) {
    TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = rows(70), .seqlen_k = keys(70), .heads_q = 2},
                        {.seed = seed});
    for (int j = 0; j < problem.extents().seqlen_k; ++j)
      std::ranges::copy(of_column(j), problem.intervals().data() + std::ptrdiff_t{4} * j);
    return problem;
  }
};
class BackwardWindows : public TilesTest {};
class BackwardCausal : public TilesTest {};
class BackwardValues : public TilesTest {
 protected:
  /// Queries of one value, and keys of one magnitude, every other one of which may be negative.
  static LaunchResult run_with_constants(DataType dtype, float query, float key, bool alternating) {
    TestProblem forward(descriptor_of(MaskForm::kC1, dtype), {.seqlen_q = rows(100), .seqlen_k = keys(100)},
                        {.intervals = Intervals::kNoneMasked, .softmax_scale = 1e-3f});
    std::ranges::fill(forward.query(), reference::from_float(query, dtype));
    for (std::size_t i = 0; i < forward.key().size(); ++i) {
      const bool is_negative = alternating && i / static_cast<std::size_t>(head_dim()) % 2 != 0;
      forward.key()[i] = reference::from_float(is_negative ? -key : key, dtype);
    }
    return run_here(std::move(forward));
  }
};
class BackwardShapes : public TilesTest {};

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

TEST_P(BackwardMasks, ThatHideEverythingWriteZerosOverAllThatWasThere) {
  for (MaskForm form : kVectorForms)
    for (const bool with_plan : {true, false}) {
      const BackwardTestProblem problem(TestProblem(descriptor_of(form),
                                                    {.seqlen_q = rows(70), .seqlen_k = keys(70), .heads_q = 2},
                                                    {.intervals = Intervals::kAllMasked}));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      EXPECT_TRUE(is_correct_here(result, problem));
      EXPECT_TRUE(are_zeros(result.query_gradient));
      EXPECT_TRUE(are_zeros(result.key_gradient));
      EXPECT_TRUE(are_zeros(result.value_gradient));
    }
}

TEST_P(BackwardMasks, ThatHideNothingGiveWhatTheFormWithoutVectorsGives) {
  for (MaskForm form : kVectorForms)
    for (const bool with_plan : {true, false}) {
      const Extents extents{.seqlen_q = rows(70), .seqlen_k = keys(90), .heads_q = 2};
      const KernelDescriptor without = descriptor_of(has_diagonal(form) ? MaskForm::kCausal : MaskForm::kNone);
      const LaunchResult masked =
          run_here(TestProblem(descriptor_of(form), extents, {.intervals = Intervals::kNoneMasked, .seed = 5}),
                   {.with_plan = with_plan});
      EXPECT_TRUE(are_the_same_bits(masked, run_here(TestProblem(without, extents, {.seed = 5})))) << to_string(form);
    }
}

TEST_P(BackwardMasks, ThatHideWholeKeyTilesAroundTheVisibleOneWriteZerosThere) {
  // Only keys of the second of four tiles are seen.
  for (MaskForm form : {MaskForm::kF2, MaskForm::kF4})
    for (const bool with_plan : {true, false}) {
      TestProblem forward(descriptor_of(form), {.seqlen_q = rows(32) + 1, .seqlen_k = 4 * config().tile_k},
                          {.intervals = Intervals::kNoneMasked});
      const int vectors = vectors_per_column(form);
      for (int j = 0; j < forward.extents().seqlen_k; ++j) {
        if (j / config().tile_k == 1) continue;
        forward.intervals()[j * vectors] = 0;
        forward.intervals()[j * vectors + 1] = form == MaskForm::kF2 ? 0 : forward.extents().seqlen_q;
      }
      const BackwardTestProblem problem(std::move(forward));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      EXPECT_TRUE(is_correct_here(result, problem));
      for (const auto* gradient : {&result.key_gradient, &result.value_gradient}) {
        const std::span<const std::uint16_t> all(*gradient);
        const std::size_t tile = all.size() / 4;
        EXPECT_TRUE(are_zeros(all.first(tile)));
        EXPECT_FALSE(are_zeros(all.subspan(tile, tile)));
        EXPECT_TRUE(are_zeros(all.last(2 * tile)));
      }
    }
}

TEST_P(BackwardMasks, ThatLeaveEachRowOneKeyCopyTheGradientOfItsOutput) {
  // F2: column j is seen by row j alone, with probability 1.
  TestProblem forward(descriptor_of(MaskForm::kF2), {.seqlen_q = rows(70), .seqlen_k = rows(70)});
  for (int j = 0; j < rows(70); ++j) {
    forward.intervals()[2 * j] = j + 1;
    forward.intervals()[2 * j + 1] = j;
  }
  const BackwardTestProblem problem(std::move(forward));
  const LaunchResult result = run_here(problem);
  EXPECT_EQ(result.value_gradient, problem.output_gradient());
  EXPECT_TRUE(is_correct_here(result, problem));
}

TEST_P(BackwardMasks, WithDeadRowsInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kF4), {.seqlen_q = rows(64), .seqlen_k = keys(70)});
  for (int j = 0; j < keys(70); ++j) {
    const int odd_rows[] = {13, 14, 40, 49};
    std::copy_n(odd_rows, 4, problem.intervals().data() + std::ptrdiff_t{4} * j);
  }
  EXPECT_TRUE(is_correct_here(std::move(problem)));
}

TEST_P(BackwardMasks, WithUnseenKeysInTheMiddleOfATileSpareTheirNeighbours) {
  TestProblem problem(descriptor_of(MaskForm::kC2), {.seqlen_q = rows(70), .seqlen_k = keys(70)},
                      {.intervals = Intervals::kNoneMasked});
  for (const int j : {0, 13, 14, config().tile_k - 1, config().tile_k, keys(70) - 1}) {
    problem.intervals()[2 * j] = 0;
    problem.intervals()[2 * j + 1] = rows(70);
  }
  EXPECT_TRUE(is_correct_here(std::move(problem)));
}

TEST_P(BackwardMasks, WhoseIntervalsSwapPlacesOrOverlapMeanTheSame) {
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

TEST_P(BackwardMasks, WhoseIntervalsAreEmptySwappedOrOutsideOfTheRowsHideNothing) {
  constexpr int kLeast = std::numeric_limits<int>::min(), kMost = std::numeric_limits<int>::max();
  const std::array<std::array<int, 2>, 6> nothing{
      {{0, 0}, {33, 33}, {50, 20}, {-9, -3}, {rows(70), kMost}, {kMost, kLeast}}};
  const BackwardTestProblem plain(with_intervals(3, [](int) { return std::array{0, 0, 0, 0}; }));
  const BackwardTestProblem odd(with_intervals(3, [&](int j) {
    const std::array<int, 2>&one = nothing[j % 6], &other = nothing[j / 6 % 6];
    return std::array{one[0], one[1], other[0], other[1]};
  }));
  EXPECT_TRUE(is_correct_here(plain));
  for (const bool with_plan : {true, false})
    EXPECT_TRUE(are_the_same_bits(run_here(plain), run_here(odd, {.with_plan = with_plan})));
}

TEST_P(BackwardMasks, WithoutAPlanGiveTheSameBitsOfADeterministicKernelAndAreWithinTheBoundOfAnother) {
  const int batch = GetParam().family.name == "wgmma" ? 1 : 2;
  for (MaskForm form : kVectorForms)
    for (const Intervals intervals : {Intervals::kFuzzed, Intervals::kDocuments, Intervals::kHoles}) {
      const Extents extents{.batch = batch, .seqlen_q = rows(70), .seqlen_k = keys(100), .heads_q = 2, .heads_mask = 2};
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

TEST_P(BackwardWindows, OfEveryWidthAreWithinTheBound) {
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
        EXPECT_TRUE(is_correct_here(TestProblem(descriptor, {.seqlen_q = rows(seqlen_q), .seqlen_k = keys(seqlen_k)},
                                                {.window_left = left, .window_right = right})));
  }
}

TEST_P(BackwardWindows, ThatReachNoKeyOfSomeRowsAndNoRowOfSomeKeysLeaveThoseZero) {
  // Top-left: the last rows lie wholly to the right of the keys, or the last keys wholly to the right of the rows.
  KernelDescriptor descriptor = descriptor_of(MaskForm::kWindow);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  const int most = std::max(rows(200), keys(200)), least = std::min(rows(40), keys(40));
  for (const auto& [seqlen_q, seqlen_k] : {std::pair(most, least), {least, most}}) {
    const BackwardTestProblem problem(
        TestProblem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k}, {.window_left = 3, .window_right = 3}));
    const LaunchResult result = run_here(problem);
    EXPECT_TRUE(is_correct_here(result, problem));
    const std::span<const std::uint16_t> of_longer(seqlen_q > seqlen_k ? result.query_gradient : result.key_gradient);
    EXPECT_TRUE(are_zeros(of_longer.last(of_longer.size() / 2)));
    EXPECT_FALSE(are_zeros(of_longer.first(of_longer.size() / 2)));
  }
}

TEST_P(BackwardCausal, WithMoreQueriesThanKeysLeavesTheGradientOfTheFirstRowsZero) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kC1, MaskForm::kC2})
    for (const bool with_plan : {true, false}) {
      const BackwardTestProblem problem(TestProblem(descriptor_of(form),
                                                    {.seqlen_q = keys(40) + rows(160), .seqlen_k = keys(40)},
                                                    {.intervals = Intervals::kNoneMasked}));
      const LaunchResult result = run_here(problem, {.with_plan = with_plan});
      EXPECT_TRUE(is_correct_here(result, problem));
      EXPECT_TRUE(are_zeros(std::span(result.query_gradient).first(static_cast<std::size_t>(rows(160) * head_dim()))));
    }
}

TEST_P(BackwardValues, OfLargeMagnitudeDoNotOverflow) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    EXPECT_TRUE(is_correct_here(TestProblem(descriptor_of(MaskForm::kCausal, dtype),
                                            {.seqlen_q = rows(70), .seqlen_k = keys(70)}, {.magnitude = 40})));
}

TEST_P(BackwardValues, OfTinyMagnitudeDoNotVanish) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    EXPECT_TRUE(is_correct_here(TestProblem(descriptor_of(MaskForm::kCausal, dtype),
                                            {.seqlen_q = rows(70), .seqlen_k = keys(70)}, {.magnitude = 1e-4f})));
}

testing::AssertionResult has_no_nan(std::span<const std::uint16_t> gradient, DataType dtype) {
  for (std::size_t i = 0; i < gradient.size(); ++i)
    if (std::isnan(reference::to_float(gradient[i], dtype)))
      return testing::AssertionFailure() << "element " << i << " of " << gradient.size();
  return testing::AssertionSuccess();
}

TEST_P(BackwardValues, AtTheLargestFiniteNumbersGiveNoNaN) {
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

TEST_P(BackwardValues, ScaleIsAppliedOnce) {
  for (float scale : {1e-3f, 0.125f, 1.0f, 7.5f})
    EXPECT_TRUE(is_correct_here(TestProblem(descriptor_of(MaskForm::kCausal),
                                            {.seqlen_q = rows(40), .seqlen_k = keys(70)}, {.softmax_scale = scale})));
}

TEST_P(BackwardShapes, EveryRatioOfHeadsTakesItsOwnKeysAndMaskInEveryBatchEntry) {
  for (const auto& [heads_q, heads_kv] : {std::pair(1, 1), {4, 4}, {4, 2}, {4, 1}, {6, 3}, {8, 1}})
    for (int heads_mask : {1, heads_kv, heads_q})
      // One key tile, so that groups of heads are split where there is no other work, and two.
      for (const int of_32 : {25, 40})
        EXPECT_TRUE(is_correct_here(TestProblem(descriptor_of(MaskForm::kF4),
                                                {.batch = of_32 == 25 ? 1 : 3,
                                                 .seqlen_q = 33,
                                                 .seqlen_k = keys(of_32),
                                                 .heads_q = heads_q,
                                                 .heads_kv = heads_kv,
                                                 .heads_mask = heads_mask},
                                                {.seed = static_cast<std::uint64_t>(heads_q * 10 + heads_mask)})));
}

TEST_P(BackwardShapes, EveryLayoutGivesTheSameBits) {
  const BackwardTestProblem problem(TestProblem(
      descriptor_of(MaskForm::kC2),
      {.batch = 2, .seqlen_q = rows(70), .seqlen_k = keys(75), .heads_q = 4, .heads_kv = 2, .heads_mask = 2}));
  const LaunchResult packed = run_here(problem);
  EXPECT_TRUE(is_correct_here(packed, problem));
  for (Layout layout : {Layout::kPadded, Layout::kHeadsFirst, Layout::kInterleaved}) {
    const LaunchResult strided = run_here(problem, {.layout = layout});
    EXPECT_EQ(strided.overwritten, "");
    EXPECT_TRUE(are_the_same_bits(strided, packed));
  }
}

TEST_P(BackwardShapes, TheGradientThatComesInMayLieFromTheLastRowToTheFirstWhereNoTensorCopyTakesIt) {
  const auto make = [] {
    return BackwardTestProblem(
        TestProblem(descriptor_of(MaskForm::kCausal), {.seqlen_q = rows(70), .seqlen_k = keys(75)}));
  };
  const BackwardTestProblem problem = make();
  BackwardTestProblem reversed = make();
  std::vector<std::uint16_t>& gradient = reversed.output_gradient();
  std::ranges::reverse(gradient);
  for (auto row = gradient.begin(); row != gradient.end(); row += head_dim()) std::reverse(row, row + head_dim());
  const LaunchChoice choice{.change = [](BackwardLaunch& launch) {
    TensorView& view = launch.output_gradient;
    view.data += static_cast<DevicePointer>((launch.forward.seqlen_q - 1) * view.stride_seqlen * 2);
    view.stride_seqlen = -view.stride_seqlen;
  }};
  if (GetParam().family.name != "wgmma") {
    EXPECT_TRUE(are_the_same_bits(run_here(reversed, choice), run_here(problem)));
    return;
  }
  try {
    run_here(reversed, choice);
    ADD_FAILURE() << "a stride that tensor copies cannot take was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("output_gradient: the seqlen stride is -32 elements: the tensor copies of sm_90a "
                                   "take 0 to 549755813887; request the kernel for sm_90, or copy the tensor"));
  }
}

std::string name_of_tiles(const testing::TestParamInfo<Tiles>& test) {
  return name_of(test.param);
}

INSTANTIATE_TEST_SUITE_P(Tiles, BackwardMasks, testing::ValuesIn(all_tiles()), name_of_tiles);
INSTANTIATE_TEST_SUITE_P(Tiles, BackwardWindows, testing::ValuesIn(all_tiles()), name_of_tiles);
INSTANTIATE_TEST_SUITE_P(Tiles, BackwardCausal, testing::ValuesIn(all_tiles()), name_of_tiles);
INSTANTIATE_TEST_SUITE_P(Tiles, BackwardValues, testing::ValuesIn(some_tiles()), name_of_tiles);
INSTANTIATE_TEST_SUITE_P(Tiles, BackwardShapes, testing::ValuesIn(some_tiles()), name_of_tiles);

}  // namespace
}  // namespace flashmask::backward_tests
