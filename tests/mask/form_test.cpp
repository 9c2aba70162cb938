#include <gmock/gmock.h>

#include <limits>
#include <optional>

#include "flashmask/mask.h"
#include "runtime/reference/visibility.h"
#include "tests/mask/random_masks.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::HasSubstr;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;
constexpr auto kTopLeft = CausalAlignment::kTopLeft;

/// Whether some values of the form show exactly the dense mask: all values are tried, with the definition alone.
bool can_hold(const FormChoice& choice, const MaskExtents& e, const std::vector<std::uint8_t>& dense) {
  MaskShape shape = {choice.form, choice.alignment, e.batch, e.num_heads, e.seqlen_q, e.seqlen_k, -1, -1};
  const int slices = e.batch * e.num_heads;
  const auto column_is = [&](int slice, int j, const std::int32_t* values) {
    for (int i = 0; i < e.seqlen_q; ++i) {
      const bool visible = dense[(static_cast<std::size_t>(slice) * e.seqlen_q + i) * e.seqlen_k + j] != 0;
      if (reference::is_visible(shape, values, i, j) != visible) return false;
    }
    return true;
  };
  const auto all_columns = [&](const auto& fits) {
    for (int slice = 0; slice < slices; ++slice) {
      for (int j = 0; j < e.seqlen_k; ++j) {
        if (!fits(slice, j)) return false;
      }
    }
    return true;
  };
  const int vectors = vectors_per_column(choice.form);
  if (choice.form == MaskForm::kWindow) {
    for (shape.window_left = -1; shape.window_left <= e.seqlen_q + e.seqlen_k; ++shape.window_left) {
      for (shape.window_right = -1; shape.window_right <= e.seqlen_q + e.seqlen_k; ++shape.window_right) {
        if (all_columns([&](int slice, int j) { return column_is(slice, j, nullptr); })) return true;
      }
    }
    return false;
  }
  if (vectors == 0) return all_columns([&](int slice, int j) { return column_is(slice, j, nullptr); });
  return all_columns([&](int slice, int j) {
    std::int32_t values[4] = {};
    for (;;) {
      if (column_is(slice, j, values)) return true;
      int digit = 0;
      while (digit < vectors && values[digit] == e.seqlen_q) values[digit++] = 0;
      if (digit == vectors) return false;
      ++values[digit];
    }
  });
}

std::optional<FormChoice> tightest_by_trial(const MaskExtents& e, const std::vector<std::uint8_t>& dense) {
  for (const FormChoice& choice : form_choices()) {
    if (choice.alignment == kTopLeft && e.seqlen_q == e.seqlen_k) continue;
    if (can_hold(choice, e, dense)) return choice;
  }
  return std::nullopt;
}

TEST(MaskForm, EveryDenseMaskOfThreeByThreeGetsItsTightestForm) {
  const MaskExtents extents = {1, 1, 3, 3};
  for (unsigned bits = 0; bits < 512; ++bits) {
    std::vector<std::uint8_t> dense;
    for (int n = 0; n < 9; ++n) dense.push_back(bits >> n & 1U);
    const std::optional<FormChoice> expected = tightest_by_trial(extents, dense);
    ASSERT_TRUE(expected);  // three rows have two intervals at most
    const Mask mask = Mask::from_dense(extents, dense);
    ASSERT_EQ(mask.shape().form, expected->form) << describe(mask);
    ASSERT_TRUE(sees_like(mask, extents, dense));
  }
}

TEST(MaskForm, RandomMasksNormaliseToTheTightestFormThatTrialFinds) {
  Random random(10);
  for (int round = 0; round < 500; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 5, 4, 1);
      const std::vector<std::uint8_t> dense = seen(mask);
      const std::optional<FormChoice> expected = tightest_by_trial(mask.extents(), dense);
      ASSERT_TRUE(expected) << describe(mask);
      const Mask normalised = mask.normalised();
      ASSERT_EQ(normalised.shape().form, expected->form) << describe(mask);
      ASSERT_EQ(normalised.shape().causal_alignment, expected->alignment) << describe(mask);
      ASSERT_TRUE(sees_like(normalised, mask.extents(), dense));
    }
  }
}

TEST(MaskForm, DenseMasksAreHeldExactlyOrRefusedInEveryForm) {
  Random random(11);
  int held = 0;
  int refused = 0;
  for (int round = 0; round < 10000; ++round) {
    // Few visible changes along a column, so that both outcomes are common.
    const MaskExtents e = {1, random.between(1, 2), random.between(1, 5), random.between(1, 3)};
    std::vector<std::uint8_t> dense(static_cast<std::size_t>(e.num_heads) * e.seqlen_q * e.seqlen_k);
    for (int h = 0; h < e.num_heads; ++h) {
      for (int j = 0; j < e.seqlen_k; ++j) {
        bool visible = random.chance(50);
        for (int i = 0; i < e.seqlen_q; ++i) {
          visible ^= random.chance(30);
          dense[(static_cast<std::size_t>(h) * e.seqlen_q + i) * e.seqlen_k + j] = visible;
        }
      }
    }
    for (const FormChoice& choice : form_choices()) {
      if (can_hold(choice, e, dense)) {
        ++held;
        const Mask mask = Mask::from_dense(e, dense, choice.form, choice.alignment);
        ASSERT_EQ(mask.shape().form, choice.form);
        ASSERT_EQ(mask.shape().causal_alignment, choice.alignment);
        ASSERT_TRUE(sees_like(mask, e, dense));
      } else {
        ++refused;
        ASSERT_THAT(error_of([&] { (void)Mask::from_dense(e, dense, choice.form, choice.alignment); }),
                    HasSubstr("cannot be held: "));
      }
    }
  }
  EXPECT_GT(held, 100);
  EXPECT_GT(refused, 100);
}

TEST(MaskForm, NormalisingChangesNothingThatIsSeenAndIsStable) {
  Random random(12);
  for (int round = 0; round < 1000; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 20, 20);
      const Mask normalised = mask.normalised();
      ASSERT_TRUE(sees_like(normalised, mask.extents(), seen(mask)));
      ASSERT_LE(normalised.shape().form, choice.form) << describe(mask);
      ASSERT_EQ(normalised, normalised.normalised()) << describe(mask);
      ASSERT_EQ(normalised, Mask::from_dense(mask.extents(), mask.to_dense())) << describe(mask);
      ASSERT_TRUE(sees_like(mask.held_as(choice.form, choice.alignment), mask.extents(), seen(mask)));
      ASSERT_TRUE(sees_like(mask.held_as(MaskForm::kF4), mask.extents(), seen(mask)));  // F4 holds every form
    }
  }
}

TEST(MaskForm, CanonicalValuesNameTheLowerIntervalFirst) {
  // Column 0: rows 1 and 4 masked; column 1: rows 0 and 1; column 2: row 3; column 3: all.
  const std::vector<std::uint8_t> dense = {1, 0, 1, 0,   //
                                           0, 0, 1, 0,   //
                                           1, 1, 1, 0,   //
                                           1, 1, 0, 0,   //
                                           0, 1, 1, 0,   //
                                           1, 1, 1, 0};  //
  const Mask mask = Mask::from_dense({1, 1, 6, 4}, dense);
  EXPECT_EQ(mask,
            Mask({MaskForm::kF4, kBottomRight, 1, 1, 6, 4, -1, -1}, {4, 5, 1, 2, 6, 6, 0, 2, 3, 4, 0, 0, 0, 6, 0, 0}));
}

TEST(MaskForm, WindowsAreFoundWithBoundsThatCutNothingLeftOut) {
  for (const CausalAlignment alignment : {kBottomRight, kTopLeft}) {
    for (const auto& [q, k] : {std::pair{7, 7}, {4, 9}, {9, 4}}) {
      const auto window = [&, q = q, k = k](int left, int right) {
        return Mask({MaskForm::kWindow, alignment, 1, 1, q, k, left, right}).normalised();
      };
      const Mask two_sided = window(2, 1);
      EXPECT_EQ(two_sided.shape().form, MaskForm::kWindow);
      EXPECT_EQ(two_sided.shape().window_left, 2);
      EXPECT_EQ(two_sided.shape().window_right, 1);
      EXPECT_EQ(window(-1, 0).shape().form, MaskForm::kCausal);
      EXPECT_EQ(window(100, 0).shape().form, MaskForm::kCausal);
      EXPECT_EQ(window(100, 200).shape().form, MaskForm::kNone);
      EXPECT_EQ(window(1, 100).shape().window_right, -1);
    }
  }
}

/// One column of rows "x" (seen) and "." (masked), beside a column that all rows see, for the causal forms: as key 0.
Mask column_as(std::string_view rows, MaskForm form) {
  const std::vector<std::uint8_t> dense = [&] {
    std::vector<std::uint8_t> visible;
    for (const char row : rows) visible.push_back(row == 'x');
    return visible;
  }();
  return Mask::from_dense({1, 1, static_cast<int>(rows.size()), 1}, dense, form, kTopLeft);
}

Mask rows_as(const std::vector<std::string>& rows, MaskForm form, CausalAlignment alignment = kBottomRight) {
  std::vector<std::uint8_t> dense;
  for (const std::string& row : rows) {
    for (const char element : row) dense.push_back(element == 'x');
  }
  return Mask::from_dense({1, 1, static_cast<int>(rows.size()), static_cast<int>(rows[0].size())}, dense, form,
                          alignment);
}

TEST(MaskForm, RefusalsNameTheColumnTheCountTheFormAndTheFormThatWouldDo) {
  // Column 1 needs five intervals.
  const std::vector<std::string> five = {"xx", "x.", "xx", "x.", "xx", "x.", "xx", "x.", "xx", "x."};
  EXPECT_EQ(error_of([&] { (void)rows_as(five, MaskForm::kF4); }),
            "cannot be held: key column 1 needs 5 intervals, form F4 holds 2 (batch entry 0, mask head 0)");
  EXPECT_EQ(error_of([&] { (void)rows_as(five, MaskForm::kF2); }),
            "cannot be held: key column 1 needs 5 intervals, form F2 holds 2 (batch entry 0, mask head 0)");
  EXPECT_EQ(error_of([] { (void)column_as("x.x..x", MaskForm::kC2); }),
            "cannot be held: key column 0 needs 2 intervals below the diagonal, form C2 holds 1 (batch entry 0, mask "
            "head 0); form F4 would hold the mask");
  EXPECT_EQ(error_of([] { (void)column_as("x.xx", MaskForm::kC1); }),
            "cannot be held: key column 0 masks rows [1, 2) below the diagonal, form C1 holds rows up to the last, "
            "[LTS, 4) (batch entry 0, mask head 0); form C2 top-left would hold the mask");
  EXPECT_EQ(error_of([] { (void)rows_as({"xx", "xx"}, MaskForm::kC1); }),
            "cannot be held: key column 1 shows row 0, which lies above the diagonal and is masked by form C1 (batch "
            "entry 0, mask head 0); form none would hold the mask");
  EXPECT_EQ(error_of([] { (void)rows_as({"x", ".", "x"}, MaskForm::kF2); }),
            "cannot be held: key column 0 masks rows [1, 2), form F2 holds rows from the first, [0, UTE), and up to "
            "the last, [LTS, 3) (batch entry 0, mask head 0); form C2 top-left would hold the mask");
  EXPECT_EQ(error_of([] { (void)rows_as({"x.", "xx"}, MaskForm::kNone); }),
            "cannot be held: key column 1 masks rows [0, 1), form none masks no rows (batch entry 0, mask head 0); "
            "form causal would hold the mask");
  EXPECT_EQ(error_of([] { (void)rows_as({"..", "xx"}, MaskForm::kWindow); }),
            "cannot be held: key column 0 masks rows [0, 1), form window (-1, 0) masks no rows (batch entry 0, mask "
            "head 0); form C2 would hold the mask");
  EXPECT_EQ(error_of([] { (void)rows_as({"..", ".."}, MaskForm::kWindow); }),
            "cannot be held: every key on the diagonal is masked, form window shows at least those; form C1 would "
            "hold the mask");
}

TEST(MaskForm, RefusalsNameBatchEntryAndMaskHead) {
  std::vector<std::uint8_t> dense(std::size_t{2} * 3 * 7, 1);
  for (const int i : {1, 3, 5}) dense[(std::size_t{1} * 3 + 2) * 7 + i] = 0;
  EXPECT_EQ(error_of([&] { (void)Mask::from_dense({2, 3, 7, 1}, dense); }),
            "cannot be held: key column 0 needs 3 intervals, form F4 holds 2 (batch entry 1, mask head 2)");
}

TEST(MaskForm, RefusesFormsThatDoNotExist) {
  EXPECT_THAT(error_of([] { (void)rows_as({"x"}, static_cast<MaskForm>(9)); }), HasSubstr("mask form = 9"));
  EXPECT_THAT(error_of([] { (void)rows_as({"x"}, MaskForm::kF4, kTopLeft); }), HasSubstr("bottom-right alone"));
}

}  // namespace
}  // namespace flashmask::mask_tests
