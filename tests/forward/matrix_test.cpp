// Every mask form with every element type and head dim, at the default configuration: a few problems for each, drawn so
// that all the edges of tiles, head ratios, layouts and kinds of intervals come up among them.

#include <gtest/gtest.h>

#include "tests/forward/launch.h"
#include "tests/forward/matrix.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

class ForwardMatrix : public testing::TestWithParam<Column> {};

TEST_P(ForwardMatrix, EveryFormIsWithinTheBound) {
  const Column& column = GetParam();
  // Where this column starts in the lists below: differs for each, so that the columns complement each other.
  int turn = column.head_dim_qk / 8 + column.head_dim_v / 8 + (column.dtype == DataType::kFloat16 ? 3 : 0);
  const Target target = tested_runtime().device()->properties().target;
  for (const KernelDescriptor& descriptor : all_forms(column.dtype, column.head_dim_qk, column.head_dim_v, target)) {
    const int problems = descriptor.causal_alignment == CausalAlignment::kTopLeft ? 2 : 3;
    for (int n = 0; n < problems; ++n, ++turn) {
      Runtime& runtime = tested_runtime(turn % 3);
      const auto kernel = runtime.request(descriptor);
      const std::vector<int> rows = lengths_around(kernel->config().tile_q);
      const std::vector<int> keys = lengths_around(kernel->config().tile_k);
      const HeadCounts& heads = kHeadCounts[turn % std::size(kHeadCounts)];
      // Row tiles are the expensive direction: at most two of them here (the edges have a test of their own).
      const Extents extents{.batch = turn % 5 == 1 ? 2 : 1,
                            .seqlen_q = rows[turn * 5 % 4 + (turn % 9 == 0)],
                            .seqlen_k = keys[turn * 3 % keys.size()],
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
      const LaunchChoice choice{.layout = kLayouts[turn % std::size(kLayouts)], .wants_lse = turn % 7 != 0};
      EXPECT_TRUE(is_correct(runtime, *kernel, TestProblem(descriptor, extents, variety), choice));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Column, ForwardMatrix, testing::ValuesIn(columns()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::forward_tests
