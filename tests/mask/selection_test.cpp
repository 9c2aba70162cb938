#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "flashmask/mask.h"
#include "tests/mask/random_masks.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::HasSubstr;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;

std::vector<std::uint8_t> seen_of(const Mask& mask, const std::vector<int>& rows, const std::vector<int>& keys) {
  std::vector<std::uint8_t> visible;
  for (int b = 0; b < mask.extents().batch; ++b) {
    for (int h = 0; h < mask.extents().num_heads; ++h) {
      for (const int i : rows) {
        for (const int j : keys) visible.push_back(mask.is_visible(b, h, i, j));
      }
    }
  }
  return visible;
}

std::vector<int> numbers(int first, int end) {
  std::vector<int> all(static_cast<std::size_t>(end - first));
  std::iota(all.begin(), all.end(), first);
  return all;
}

TEST(Selection, AnyAscendingSubsetOfTheRowsIsHeldExactlyWithoutMoreIntervals) {
  Random random(30);
  for (int round = 0; round < 1000; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 14, 10);
      const MaskExtents e = mask.extents();
      std::vector<int> rows;
      const int percent = random.between(5, 100);
      for (int i = 0; i < e.seqlen_q; ++i) {
        if (random.chance(percent)) rows.push_back(i);
      }
      if (rows.empty()) rows.push_back(random.between(0, e.seqlen_q - 1));
      const Mask shard = mask.select_rows(rows);
      ASSERT_TRUE(sees_like(shard, {e.batch, e.num_heads, static_cast<int>(rows.size()), e.seqlen_k},
                            seen_of(mask, rows, numbers(0, e.seqlen_k))))
          << describe(mask);
      ASSERT_EQ(shard, shard.normalised()) << describe(mask);
      for (int j = 0; j < e.seqlen_k; ++j) {
        ASSERT_LE(shard.masked_rows(0, 0, j).size(), mask.masked_rows(0, 0, j).size()) << describe(mask);
      }
    }
  }
}

TEST(Selection, ASliceIsTheSubsetOfItsRows) {
  Random random(31);
  for (int round = 0; round < 1000; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 14, 8);
      const int first = random.between(0, mask.shape().seqlen_q - 1);
      const int last = random.between(first + 1, mask.shape().seqlen_q);
      ASSERT_EQ(mask.slice_rows(first, last), mask.select_rows(numbers(first, last))) << describe(mask);
    }
  }
}

TEST(Selection, TheEndOfACausalMaskIsACausalMask) {
  const Mask causal({MaskForm::kCausal, kBottomRight, 1, 1, 8, 8, -1, -1});
  EXPECT_EQ(causal.slice_rows(5, 8), Mask({MaskForm::kCausal, kBottomRight, 1, 1, 3, 8, -1, -1}));
  EXPECT_EQ(causal.slice_rows(0, 3), Mask({MaskForm::kCausal, CausalAlignment::kTopLeft, 1, 1, 3, 8, -1, -1}));
  // Two context-parallel chunks of four, first and last, as balanced sharding takes them.
  EXPECT_EQ(causal.select_rows(std::vector{0, 1, 6, 7}).shape().form, MaskForm::kC2);
}

TEST(Selection, KeysMayTakeAnyOrder) {
  Random random(32);
  for (int round = 0; round < 1000; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 10, 8);
      const MaskExtents e = mask.extents();
      std::vector<int> order = numbers(0, e.seqlen_k);
      for (int n = e.seqlen_k - 1; n > 0; --n) std::swap(order[n], order[random.between(0, n)]);
      const Mask permuted = mask.permute_keys(order);
      ASSERT_TRUE(sees_like(permuted, e, seen_of(mask, numbers(0, e.seqlen_q), order))) << describe(mask);
      std::vector<int> back(order.size());
      for (std::size_t n = 0; n < order.size(); ++n) back[static_cast<std::size_t>(order[n])] = static_cast<int>(n);
      ASSERT_EQ(permuted.permute_keys(back), mask.normalised());
    }
  }
}

TEST(Selection, RefusesRowsAndOrdersThatAreNone) {
  const Mask mask({MaskForm::kCausal, kBottomRight, 1, 1, 4, 3, -1, -1});
  const auto rows = [&](std::vector<int> list) { return error_of([&] { (void)mask.select_rows(list); }); };
  const auto keys = [&](std::vector<int> list) { return error_of([&] { (void)mask.permute_keys(list); }); };
  EXPECT_EQ(error_of([&] { (void)mask.slice_rows(2, 2); }),
            "rows [2, 2) of a mask: a range that is not empty and lies in [0, 4) is needed");
  EXPECT_THAT(error_of([&] { (void)mask.slice_rows(-1, 2); }), HasSubstr("rows [-1, 2)"));
  EXPECT_THAT(error_of([&] { (void)mask.slice_rows(1, 5); }), HasSubstr("rows [1, 5)"));
  EXPECT_EQ(rows({}), "0 rows selected: at least 1 of the 4 rows is needed");
  EXPECT_EQ(rows({1, 4}), "rows[1] = 4: the mask has 4 rows, counted from 0");
  EXPECT_EQ(rows({0, 2, 2}), "rows[2] = 2 follows rows[1] = 2: strictly ascending rows are needed");
  EXPECT_EQ(keys({0, 1}), "an order of 2 keys: the mask has 3");
  EXPECT_EQ(keys({0, 3, 1}), "order[1] = 3: the mask has 3 keys, counted from 0");
  EXPECT_EQ(keys({1, 0, 1}), "order[0] = order[2] = 1: every key is needed once");
}

}  // namespace
}  // namespace flashmask::mask_tests
