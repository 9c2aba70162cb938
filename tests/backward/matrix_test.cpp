// Every mask form with every element type and head dim, at the default configuration: a few problems for each, drawn so
// that all the edges of tiles, head ratios, layouts and kinds of intervals come up among them.

#include <gtest/gtest.h>

#include "tests/backward/launch.h"
#include "tests/forward/matrix.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::cells;
using forward_tests::Column;
using forward_tests::columns_of;
using forward_tests::Family;
using forward_tests::FamilyColumn;
using forward_tests::HeadCounts;
using forward_tests::kHeadCounts;
using forward_tests::kIntervals;
using forward_tests::kLayouts;
using forward_tests::kWindows;
using forward_tests::lengths_around;
using forward_tests::other_columns_of;
using forward_tests::tested_runtime;

/// Where a column starts in the lists of varieties: differs for each, so that the columns complement each other.
int first_turn(const Column& column) {
  return column.head_dim_qk / 8 + column.head_dim_v / 8 + (column.dtype == DataType::kFloat16 ? 3 : 0);
}

/// The problem of this turn, at the default configuration, is within the bound.
testing::AssertionResult is_correct_in_turn(const Family& family, const KernelDescriptor& descriptor, int turn) {
  Runtime& runtime = tested_runtime(family, turn % 5);
  const auto kernel = runtime.request(descriptor);
  const std::vector<int> rows = lengths_around(kernel->config().tile_q);
  const std::vector<int> keys = lengths_around(kernel->config().tile_k);
  const HeadCounts& heads = kHeadCounts[turn % std::size(kHeadCounts)];
  const Extents extents{.batch = turn % 5 == 1 ? 2 : 1,
                        .seqlen_q = rows[turn * 5 % 7],
                        .seqlen_k = keys[turn * 3 % 4 + (turn % 9 == 0)],
                        .heads_q = heads.q,
                        .heads_kv = heads.kv,
                        .heads_mask = vectors_per_column(descriptor.mask_form) > 0 ? heads.mask : 1};
  Variety variety{.intervals = kIntervals[turn % std::size(kIntervals)],
                  .softmax_scale = turn % 4 == 2 ? 0.3f : 0.0f,
                  .seed = static_cast<std::uint64_t>(turn)};
  if (descriptor.mask_form == MaskForm::kWindow) {
    variety.window_left = kWindows[turn % kWindows.size()].first;
    variety.window_right = kWindows[turn % kWindows.size()].second;
  }
  const LaunchChoice choice{
      .layout = kLayouts[turn % std::size(kLayouts)], .with_lse_gradient = turn % 3 != 0, .with_plan = turn % 4 != 1};
  return is_correct(runtime, *kernel, BackwardTestProblem(TestProblem(descriptor, extents, variety)), choice);
}

class BackwardMatrix : public testing::TestWithParam<FamilyColumn> {};

TEST_P(BackwardMatrix, EveryFormIsWithinTheBound) {
  const auto& [family, column] = GetParam();
  int turn = first_turn(column);
  for (const KernelDescriptor& descriptor :
       all_forms(column.dtype, column.head_dim_qk, column.head_dim_v, family.target, turn % 2 == 0)) {
    const int problems = descriptor.causal_alignment == CausalAlignment::kTopLeft ? 1 : 2;
    for (int n = 0; n < problems; ++n) EXPECT_TRUE(is_correct_in_turn(family, descriptor, turn++));
  }
}

INSTANTIATE_TEST_SUITE_P(Column, BackwardMatrix, testing::ValuesIn(cells(columns_of)),
                         [](const auto& test) { return name_of(test.param); });

class BackwardSample : public testing::TestWithParam<FamilyColumn> {};

TEST_P(BackwardSample, OfTheFormsIsWithinTheBoundAtOtherHeadDims) {
  const auto& [family, column] = GetParam();
  const int turn = first_turn(column);
  const std::vector<KernelDescriptor> forms =
      all_forms(column.dtype, column.head_dim_qk, column.head_dim_v, family.target, turn % 2 == 0);
  for (int n = 0; n < 3; ++n) EXPECT_TRUE(is_correct_in_turn(family, forms[(turn + 4 * n) % forms.size()], turn + n));
}

// No device but the emulator and sm_90 has a family with such columns.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BackwardSample);
INSTANTIATE_TEST_SUITE_P(Column, BackwardSample, testing::ValuesIn(cells(other_columns_of)),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
