#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

#include "flashmask/mask_builders.h"
#include "tests/mask/positions.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using masks::SequenceLengths;
using ::testing::ElementsAre;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;
constexpr auto kTopLeft = CausalAlignment::kTopLeft;

TEST(PaperMasks, FullAndCausal) {
  for (const auto& [q, k] : {std::pair{6, 6}, {3, 7}, {7, 3}, {1, 5}, {5, 1}}) {
    EXPECT_TRUE(sees_by(masks::full({q, k}), [](int, int) { return true; }));
    EXPECT_TRUE(sees_by(masks::causal({q, k}), [&, q = q, k = k](int i, int j) { return j <= i + k - q; }));
    EXPECT_TRUE(sees_by(masks::causal({q, k}, kTopLeft), [](int i, int j) { return j <= i; }));
  }
  EXPECT_EQ(masks::full(6).shape().form, MaskForm::kNone);
  EXPECT_EQ(masks::causal(6).shape().form, MaskForm::kCausal);
}

TEST(PaperMasks, WindowsOfAnyLengthsAndAlignments) {
  for (const auto& [q, k] : {std::pair{6, 6}, {3, 7}, {7, 3}, {1, 5}, {5, 1}}) {
    for (const CausalAlignment alignment : {kBottomRight, kTopLeft}) {
      const int offset = alignment == kBottomRight ? k - q : 0;
      for (int left = -1; left < 9; ++left) {
        for (int right = -1; right < 9; ++right) {
          const auto rule = [&](int i, int j) {
            return (left < 0 || j >= i + offset - left) && (right < 0 || j <= i + offset + right);
          };
          ASSERT_TRUE(sees_by(masks::window({q, k}, left, right, alignment), rule));
          const Mask intervals = masks::window_as_intervals({q, k}, left, right, alignment);
          ASSERT_TRUE(sees_by(intervals, rule));
          ASSERT_EQ(intervals.shape().form, MaskForm::kF2);
        }
      }
      ASSERT_TRUE(sees_by(masks::window_as_intervals({q, k}, 2147483647, 2147483647), [](int, int) { return true; }));
    }
  }
}

TEST(PaperMasks, SlidingWindow) {
  for (const auto& [q, k] : {std::pair{8, 8}, {3, 7}, {7, 3}, {1, 5}}) {
    for (const int window : {1, 2, 5, 8, 100, 2147483647}) {
      const Mask mask = masks::sliding_window({q, k}, window);
      ASSERT_TRUE(sees_by(mask, [&, q = q, k = k](int i, int j) {
        const int p = i + k - q;
        return j <= p && p - j < window;
      }));
      ASSERT_EQ(mask.shape().form, MaskForm::kC1);
    }
  }
}

TEST(PaperMasks, Documents) {
  for (const std::vector<int>& lengths : {std::vector{12}, {5, 7}, {1, 1, 3, 2, 5}, {11, 1}, std::vector<int>(12, 1)}) {
    const std::vector<int> document = numbered(lengths);
    for (const SequenceLengths& n : positions_of(12)) {
      const Mask causal = masks::causal_documents(n, lengths);
      ASSERT_TRUE(sees_at(causal, [&](int p, int j) { return document[p] == document[j] && j <= p; }));
      ASSERT_EQ(causal.shape().form, MaskForm::kC1);
      const Mask both_ways = masks::documents(n, lengths);
      ASSERT_TRUE(sees_at(both_ways, [&](int p, int j) { return document[p] == document[j]; }));
      ASSERT_EQ(both_ways.shape().form, MaskForm::kF2);
    }
  }
}

TEST(PaperMasks, ShareQuestion) {
  const std::vector<masks::SharedQuestion> samples = {{3, {2, 1, 2}}, {2, {}}, {1, {3}}};
  // Sample of each token, and answer within the sample, -1 for the question.
  const std::vector<int> sample = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2};
  const std::vector<int> answer = {-1, -1, -1, 0, 0, 1, 2, 2, -1, -1, -1, 0, 0, 0};
  for (const SequenceLengths& n : positions_of(14)) {
    const Mask mask = masks::share_question(n, samples);
    ASSERT_TRUE(sees_at(mask, [&](int p, int j) {
      return sample[p] == sample[j] && j <= p && (answer[j] == -1 || answer[j] == answer[p]);
    }));
    ASSERT_EQ(mask.shape().form, MaskForm::kC1);
  }
}

TEST(PaperMasks, GlobalSlidingWindow) {
  for (const int window : {0, 1, 3, 20}) {
    for (const int globals : {0, 1, 4, 12}) {
      for (const SequenceLengths& n : positions_of(12)) {
        const Mask mask = masks::global_sliding_window(n, window, globals);
        ASSERT_TRUE(
            sees_at(mask, [&](int p, int j) { return std::abs(p - j) <= window || p < globals || j < globals; }));
        ASSERT_EQ(mask.shape().form, MaskForm::kF4);
      }
    }
  }
}

TEST(PaperMasks, CausalBlockwise) {
  for (const std::vector<int>& lengths : {std::vector{12}, {5, 7}, {1, 1, 3, 2, 5}, {4, 4, 4}}) {
    const std::vector<int> block = numbered(lengths);
    for (const SequenceLengths& n : positions_of(12)) {
      const Mask mask = masks::causal_blockwise(n, lengths);
      ASSERT_TRUE(
          sees_at(mask, [&](int p, int j) { return j <= p && (block[p] == block[j] || block[p] == block.back()); }));
      ASSERT_EQ(mask.shape().form, MaskForm::kC2);
    }
  }
}

TEST(PaperMasks, PrefixLm) {
  const std::vector<int> document = numbered({4, 1, 7});
  const std::vector<int> start = {0, 4, 5};
  const std::vector<int> prefix = {2, 0, 7};
  for (const SequenceLengths& n : positions_of(12)) {
    ASSERT_TRUE(sees_at(masks::prefix_lm_documents(n, {{4, 2}, {1, 0}, {7, 7}}), [&](int p, int j) {
      return document[p] == document[j] && (j <= p || j < start[document[j]] + prefix[document[j]]);
    }));
    for (const int length : {0, 1, 5, 12}) {
      ASSERT_TRUE(sees_at(masks::prefix_lm_causal(n, length), [&](int p, int j) { return j <= p || j < length; }));
    }
  }
}

TEST(PaperMasks, QkSparse) {
  const std::vector<int> span = {-1, -1, 0, 0, 0, 1, 1, -1, -1, 2, -1, -1};
  for (const SequenceLengths& n : positions_of(12)) {
    const Mask mask = masks::qk_sparse(n, {{2, 5}, {5, 7}, {9, 10}});
    ASSERT_TRUE(sees_at(mask, [&](int p, int j) { return j <= p && (span[j] == -1 || span[j] != span[p]); }));
    ASSERT_EQ(mask.shape().form, MaskForm::kC2);
    ASSERT_TRUE(sees_at(masks::qk_sparse(n, {}), [&](int p, int j) { return j <= p; }));
  }
}

TEST(PaperMasks, CausalByPosition) {
  const std::vector<int> queries = {-3, 0, 2, 2, 5, 9};
  const std::vector<int> keys = {4, 0, 9, -3, 2, 10, 5};
  EXPECT_TRUE(sees_by(masks::causal_by_position(queries, keys), [&](int i, int j) { return keys[j] <= queries[i]; }));
}

TEST(PaperMasks, HashSparseSortsByBucketAndPosition) {
  const std::vector<int> ids = {7, -1, 3, 7, 3, 3, -1, 7, 0};
  const masks::PermutedMask hashed = masks::hash_sparse(ids);
  EXPECT_THAT(hashed.order, ElementsAre(1, 6, 8, 2, 4, 5, 0, 3, 7));
  EXPECT_TRUE(sees_by(hashed.mask, [&](int row, int column) {
    const int i = hashed.order[row];
    const int j = hashed.order[column];
    return ids[i] == ids[j] && j <= i;
  }));
  EXPECT_EQ(hashed.mask.shape().form, MaskForm::kC1);
}

TEST(PaperMasks, EvictedKeysAreSeenUntilTheirRow) {
  const std::vector<std::vector<int>> rows = {{3, 1, 9, 4, -5, 6}, {6, 6, 6, 6, 6, 6}};
  for (const SequenceLengths& n : positions_of(6)) {
    const Mask mask = masks::evicted_keys(n, rows);
    ASSERT_EQ(mask.extents(), (MaskExtents{1, 2, n.q, 6}));
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < n.q; ++i) {
        const int p = i + 6 - n.q;
        for (int j = 0; j < 6; ++j) ASSERT_EQ(mask.is_visible(0, h, i, j), j <= p && p < rows[h][j]);
      }
    }
  }
}

TEST(PaperMasks, RandomEvictionKeepsABudgetAndDropsForGood) {
  const int n = 40;
  for (const int budget : {1, 7, 40, 60}) {
    const Mask mask = masks::random_eviction(n, budget, 3, 5);
    ASSERT_EQ(mask.shape().form, MaskForm::kC1);
    for (int h = 0; h < 3; ++h) {
      std::vector<bool> dropped(n);
      for (int i = 0; i < n; ++i) {
        int visible = 0;
        for (int j = 0; j <= i; ++j) {
          const bool sees = mask.is_visible(0, h, i, j);
          visible += sees;
          ASSERT_FALSE(sees && dropped[j]);
          if (!sees) dropped[j] = true;
        }
        ASSERT_EQ(visible, std::min(i + 1, budget));
        ASSERT_TRUE(mask.is_visible(0, h, i, i));
      }
    }
  }
  EXPECT_EQ(masks::random_eviction(n, 7, 3, 5), masks::random_eviction(n, 7, 3, 5));
  EXPECT_NE(masks::random_eviction(n, 7, 3, 5), masks::random_eviction(n, 7, 3, 6));
  const Mask one = masks::random_eviction(n, 7, 2, 5);
  const auto values = one.startend_row_indices();
  EXPECT_FALSE(std::equal(values.begin(), values.begin() + n, values.begin() + n)) << "heads draw their own";
}

TEST(PaperMasks, RandomEvictionIsTheSameOnEveryMachine) {
  const Mask mask = masks::random_eviction(8, 3, 1, 1);
  const auto values = mask.startend_row_indices();
  EXPECT_THAT(std::vector<int>(values.begin(), values.end()), ElementsAre(3, 5, 4, 6, 7, 8, 8, 8));
}

TEST(PaperMasks, CumulativeLengths) {
  EXPECT_THAT(masks::lengths_from_cumulative(std::vector{0, 3, 3, 7}), ElementsAre(3, 0, 4));
  EXPECT_THAT(masks::lengths_from_cumulative(std::vector{0}), ElementsAre());
  EXPECT_THAT(masks::lengths_from_ids(std::vector{5, 5, 2, 5}), ElementsAre(2, 1, 1));
  EXPECT_THAT(masks::lengths_from_ids(std::vector{-1}), ElementsAre(1));
}

}  // namespace
}  // namespace flashmask::mask_tests
