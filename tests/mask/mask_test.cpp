#include "flashmask/mask.h"

#include <gmock/gmock.h>

#include <limits>

#include "flashmask/reference.h"
#include "tests/mask/random_masks.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;
constexpr auto kTopLeft = CausalAlignment::kTopLeft;

TEST(Mask, SeesWhatTheReferenceSees) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 12, 12);
      const MaskShape& s = mask.shape();
      reference::ForwardProblem problem;
      problem.mask_form = s.form;
      problem.causal_alignment = s.causal_alignment;
      problem.batch = s.batch;
      problem.seqlen_q = s.seqlen_q;
      problem.seqlen_k = s.seqlen_k;
      problem.num_heads_q = 3 * s.num_heads;
      problem.num_heads_mask = s.num_heads;
      problem.window_left = s.window_left;
      problem.window_right = s.window_right;
      problem.startend_row_indices = mask.startend_row_indices();
      const std::vector<std::uint8_t> visible = seen(mask);
      std::size_t element = 0;
      for (int b = 0; b < s.batch; ++b) {
        for (int h = 0; h < s.num_heads; ++h) {
          for (int i = 0; i < s.seqlen_q; ++i) {
            for (int j = 0; j < s.seqlen_k; ++j) {
              ASSERT_EQ(visible[element++] != 0, reference::is_visible(problem, b, 3 * h + 2, i, j)) << describe(mask);
            }
          }
        }
      }
    }
  }
}

TEST(Mask, MaskedRowsAreExactlyTheRowsThatDoNotSeeTheKey) {
  Random random(2);
  for (int round = 0; round < 1500; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 14, 9);
      const MaskShape& s = mask.shape();
      for (int b = 0; b < s.batch; ++b) {
        for (int h = 0; h < s.num_heads; ++h) {
          for (int j = 0; j < s.seqlen_k; ++j) {
            const MaskedRows rows = mask.masked_rows(b, h, j);
            int end = -1;  // so that the first may start at 0, and the others leave a gap
            int i = 0;
            int count = 0;
            for (const RowInterval& interval : rows) {
              ASSERT_GT(interval.first, end) << describe(mask);
              ASSERT_GT(interval.end, interval.first);
              ASSERT_LE(interval.end, s.seqlen_q);
              end = interval.end;
              for (; i < interval.first; ++i) ASSERT_TRUE(mask.is_visible(b, h, i, j)) << describe(mask);
              for (; i < interval.end; ++i, ++count) ASSERT_FALSE(mask.is_visible(b, h, i, j)) << describe(mask);
            }
            for (; i < s.seqlen_q; ++i) ASSERT_TRUE(mask.is_visible(b, h, i, j)) << describe(mask);
            ASSERT_EQ(rows.rows(), count);
            ASSERT_EQ(rows.empty(), count == 0);
          }
        }
      }
    }
  }
}

TEST(Mask, AdjacentAndOverlappingIntervalsBecomeOne) {
  const Mask mask({MaskForm::kF4, kBottomRight, 1, 1, 10, 4, -1, -1}, {2, 4, 4, 6,     // adjacent
                                                                       5, 9, 2, 6,     // overlapping, swapped
                                                                       7, 99, -5, 1,   // clamped
                                                                       0, 10, 3, 4});  // one inside the other
  EXPECT_THAT(mask.masked_rows(0, 0, 0), ElementsAre(RowInterval{2, 6}));
  EXPECT_THAT(mask.masked_rows(0, 0, 1), ElementsAre(RowInterval{2, 9}));
  EXPECT_THAT(mask.masked_rows(0, 0, 2), ElementsAre(RowInterval{0, 1}, RowInterval{7, 10}));
  EXPECT_THAT(mask.masked_rows(0, 0, 3), ElementsAre(RowInterval{0, 10}));
}

TEST(Mask, TheDiagonalMergesWithTheIntervalBelowIt) {
  const Mask mask({MaskForm::kC2, kBottomRight, 1, 1, 6, 8, -1, -1}, {0, 0, 0, 0, 0, 0, 1, 3, 2, 4, 9, 9, 4, 5, 0, 2});
  EXPECT_THAT(mask.masked_rows(0, 0, 2), ElementsAre());
  EXPECT_THAT(mask.masked_rows(0, 0, 3), ElementsAre(RowInterval{0, 3}));
  EXPECT_THAT(mask.masked_rows(0, 0, 4), ElementsAre(RowInterval{0, 4}));
  EXPECT_THAT(mask.masked_rows(0, 0, 6), ElementsAre(RowInterval{0, 5}));
  EXPECT_THAT(mask.masked_rows(0, 0, 7), ElementsAre(RowInterval{0, 5}));
}

TEST(Mask, DenseMasksAreWhatIsVisible) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 12, 80);
      ASSERT_TRUE(mask.to_dense() == seen(mask)) << describe(mask);
    }
  }
}

TEST(Mask, LongestLengthsAndWindowsDoNotOverflow) {
  const int n = Mask::kMaxSeqlen;
  const int most = std::numeric_limits<int>::max();
  const Mask window({MaskForm::kWindow, kBottomRight, 1, 1, n, 1, most, most});
  EXPECT_TRUE(window.is_visible(0, 0, 0, 0));
  EXPECT_THAT(window.masked_rows(0, 0, 0), ElementsAre());
  const Mask narrow({MaskForm::kWindow, kTopLeft, 1, 1, 1, n, 0, 5});
  EXPECT_THAT(narrow.masked_rows(0, 0, n - 1), ElementsAre(RowInterval{0, 1}));
  const Mask causal({MaskForm::kCausal, kBottomRight, 2, 3, n, n, -1, -1});
  EXPECT_THAT(causal.masked_rows(1, 2, n - 1), ElementsAre(RowInterval{0, n - 1}));
}

TEST(Mask, RefusesExtentsWithTheNumbers) {
  const auto made = [](int batch, int heads, int q, int k) {
    return error_of([=] { Mask({MaskForm::kNone, kBottomRight, batch, heads, q, k, -1, -1}); });
  };
  EXPECT_THAT(made(1, 1, 0, 4), HasSubstr("seqlen_q = 0: 1 to 536870912 is needed"));
  EXPECT_THAT(made(1, 1, 4, (1 << 29) + 1), HasSubstr("seqlen_k = 536870913: 1 to 536870912 is needed"));
  EXPECT_THAT(made(0, -2, 4, 4), HasSubstr("batch = 0: at least 1 is needed; num_heads = -2: at least 1 is needed"));
  EXPECT_THAT(made(1 << 16, 1 << 16, 4, 4), HasSubstr("65536 * 65536 = 4294967296: at most 2147483647 is allowed"));
}

TEST(Mask, RefusesFormsThatDoNotFitTheirFields) {
  const auto made = [](MaskForm form, CausalAlignment alignment, int left, int right, std::size_t values = 0) {
    return error_of([=] { Mask({form, alignment, 1, 2, 4, 5, left, right}, std::vector<std::int32_t>(values)); });
  };
  EXPECT_THAT(made(static_cast<MaskForm>(17), kBottomRight, -1, -1), HasSubstr("mask form = 17: not a known value"));
  EXPECT_THAT(made(MaskForm::kF2, kTopLeft, -1, -1, 20), HasSubstr("form f2 allows bottom-right alone"));
  EXPECT_THAT(made(MaskForm::kC1, static_cast<CausalAlignment>(7), -1, -1, 10),
              HasSubstr("form c1 allows bottom-right and top-left"));
  EXPECT_THAT(made(MaskForm::kWindow, kBottomRight, -2, 0), HasSubstr("window = (-2, 0): form window needs"));
  EXPECT_THAT(made(MaskForm::kCausal, kBottomRight, 3, -1), HasSubstr("window = (3, -1): form causal needs (-1, -1)"));
  EXPECT_THAT(made(MaskForm::kF4, kBottomRight, -1, -1, 39), HasSubstr("has 39 elements: form f4 needs 40"));
  EXPECT_THAT(made(MaskForm::kF4, kBottomRight, -1, -1, 39), HasSubstr("= [1, 2, 5, 4]"));
  EXPECT_THAT(made(MaskForm::kNone, kBottomRight, -1, -1, 1), HasSubstr("has 1 elements: form none needs 0"));
}

TEST(Mask, RefusesIndicesOutsideItsExtents) {
  const Mask mask({MaskForm::kCausal, kBottomRight, 2, 3, 4, 5, -1, -1});
  EXPECT_EQ(error_of([&] { (void)mask.is_visible(2, 0, 0, 0); }), "batch = 2: the mask has 2, counted from 0");
  EXPECT_EQ(error_of([&] { (void)mask.is_visible(0, -1, 0, 0); }), "mask head = -1: the mask has 3, counted from 0");
  EXPECT_EQ(error_of([&] { (void)mask.is_visible(0, 0, 4, 0); }), "query row = 4: the mask has 4, counted from 0");
  EXPECT_EQ(error_of([&] { (void)mask.masked_rows(0, 0, 5); }), "key column = 5: the mask has 5, counted from 0");
}

TEST(Mask, RefusesDenseMasksThatAreTooLarge) {
  const Mask mask({MaskForm::kCausal, kBottomRight, 1, 2, 16384, 16384, -1, -1});
  EXPECT_THAT(error_of([&] { (void)mask.to_dense(); }),
              HasSubstr("[1, 2, 16384, 16384] has 5.369e+08 elements: at most 268435456 are handled"));
  const int n = Mask::kMaxSeqlen;
  EXPECT_THAT(error_of([&] { (void)Mask::from_dense({1 << 15, 1 << 15, n, n}, {}); }), HasSubstr("3.095e+26"));
  const std::vector<std::uint8_t> dense(7);
  EXPECT_THAT(error_of([&] { (void)Mask::from_dense({1, 1, 2, 4}, dense); }),
              HasSubstr("a dense mask has 7 elements: 8 are needed"));
  EXPECT_THAT(error_of([&] { (void)Mask::from_dense({1, 1, 0, 4}, dense); }), HasSubstr("seqlen_q = 0"));
}

}  // namespace
}  // namespace flashmask::mask_tests
