#include <gmock/gmock.h>

#include "flashmask/mask.h"
#include "tests/mask/random_masks.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::HasSubstr;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;

/// Runs of masked rows of the first column that has more than two of them; 0 if none has.
struct Overfull {
  int slice = 0, column = 0, runs = 0;
};
Overfull overfull_column(const MaskExtents& e, const std::vector<std::uint8_t>& dense) {
  for (int slice = 0; slice < e.batch * e.num_heads; ++slice) {
    for (int j = 0; j < e.seqlen_k; ++j) {
      int runs = 0;
      bool before = true;
      for (int i = 0; i < e.seqlen_q; ++i) {
        const bool visible = dense[(static_cast<std::size_t>(slice) * e.seqlen_q + i) * e.seqlen_k + j] != 0;
        runs += before && !visible;
        before = visible;
      }
      if (runs > 2) return {slice, j, runs};
    }
  }
  return {};
}

struct Outcomes {
  int held = 0;
  int refused = 0;
};

/// Composes and compares with the dense masks, element by element.
void check(const Mask& a, const Mask& b, bool both, Outcomes& outcomes) {
  const MaskExtents ea = a.extents();
  const MaskExtents eb = b.extents();
  const MaskExtents e = {std::max(ea.batch, eb.batch), std::max(ea.num_heads, eb.num_heads), ea.seqlen_q, ea.seqlen_k};
  std::vector<std::uint8_t> expected;
  for (int n = 0; n < e.batch; ++n) {
    for (int h = 0; h < e.num_heads; ++h) {
      for (int i = 0; i < e.seqlen_q; ++i) {
        for (int j = 0; j < e.seqlen_k; ++j) {
          const bool in_a = a.is_visible(n % ea.batch, h % ea.num_heads, i, j);
          const bool in_b = b.is_visible(n % eb.batch, h % eb.num_heads, i, j);
          expected.push_back(both ? in_a && in_b : in_a || in_b);
        }
      }
    }
  }
  const auto compose = [&] { return both ? both_see(a, b) : either_sees(a, b); };
  const Overfull overfull = overfull_column(e, expected);
  if (overfull.runs == 0) {
    ++outcomes.held;
    const Mask composed = compose();
    ASSERT_TRUE(sees_like(composed, e, expected)) << describe(a) << '\n' << describe(b);
    ASSERT_EQ(composed, composed.normalised());
  } else {
    ++outcomes.refused;
    ASSERT_EQ(error_of(compose), "cannot be held: key column " + std::to_string(overfull.column) + " needs " +
                                     std::to_string(overfull.runs) + " intervals, form F4 holds 2 (batch entry " +
                                     std::to_string(overfull.slice / e.num_heads) + ", mask head " +
                                     std::to_string(overfull.slice % e.num_heads) + ")");
  }
}

TEST(Composition, AndAndOrAreExactOrNameTheColumn) {
  Random random(20);
  Outcomes outcomes;
  for (int round = 0; round < 150; ++round) {
    for (const FormChoice& choice_a : form_choices()) {
      for (const FormChoice& choice_b : form_choices()) {
        const MaskExtents a = {random.between(1, 2), random.between(1, 2), random.between(1, 24), random.between(1, 6)};
        MaskExtents b = a;
        if (random.chance(30)) b.batch = a.batch == 1 ? 2 : 1;
        if (random.chance(30)) b.num_heads = a.num_heads == 1 ? 3 : 1;
        const Mask mask_a = random_mask(random, choice_a, a);
        const Mask mask_b = random_mask(random, choice_b, b);
        check(mask_a, mask_b, true, outcomes);
        check(mask_a, mask_b, false, outcomes);
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(outcomes.held, 20000);
  EXPECT_GT(outcomes.refused, 200);
}

TEST(Composition, ACausalMaskAndAnIntervalMaskBecomeOneCausalForm) {
  const Mask causal({MaskForm::kCausal, kBottomRight, 1, 1, 4, 4, -1, -1});
  const Mask documents({MaskForm::kF2, kBottomRight, 1, 1, 4, 4, -1, -1}, {2, 0, 2, 0, 4, 2, 4, 2});
  EXPECT_EQ(both_see(causal, documents), Mask({MaskForm::kC1, kBottomRight, 1, 1, 4, 4, -1, -1}, {2, 2, 4, 4}));
  EXPECT_EQ(either_sees(causal, Mask({MaskForm::kNone, kBottomRight, 1, 1, 4, 4, -1, -1})).shape().form,
            MaskForm::kNone);
}

TEST(Composition, RefusesOtherExtentsWithTheNumbers) {
  const auto mask = [](int batch, int heads, int q, int k) {
    return Mask({MaskForm::kCausal, kBottomRight, batch, heads, q, k, -1, -1});
  };
  EXPECT_EQ(error_of([&] { (void)both_see(mask(2, 1, 4, 4), mask(3, 1, 4, 4)); }),
            "masks of [batch, num_heads, seqlen_q, seqlen_k] = [2, 1, 4, 4] and [3, 1, 4, 4] cannot be combined: equal "
            "lengths are needed, and batch and num_heads that are equal or 1");
  EXPECT_THAT(error_of([&] { (void)either_sees(mask(1, 2, 4, 4), mask(1, 4, 4, 4)); }), HasSubstr("[1, 4, 4, 4]"));
  EXPECT_THAT(error_of([&] { (void)either_sees(mask(1, 1, 4, 4), mask(1, 1, 5, 4)); }), HasSubstr("[1, 1, 5, 4]"));
  EXPECT_THAT(error_of([&] { (void)either_sees(mask(1, 1, 4, 4), mask(1, 1, 4, 5)); }), HasSubstr("[1, 1, 4, 5]"));
}

TEST(Composition, StacksKeepEveryMaskWhateverItsForm) {
  Random random(21);
  for (int round = 0; round < 3000; ++round) {
    const int q = random.between(1, 7);
    const int k = random.between(1, 5);
    const int outer = random.between(1, 2);
    const bool along_batch = random.chance(50);
    const bool alike = random.chance(30);
    std::vector<Mask> masks;
    const int count = random.between(1, 3);
    const FormChoice& common = form_choices()[static_cast<std::size_t>(random.between(0, 10))];
    for (int n = 0; n < count; ++n) {
      const FormChoice& choice = alike ? common : form_choices()[static_cast<std::size_t>(random.between(0, 10))];
      const int inner = random.between(1, 2);
      masks.push_back(
          random_mask(random, choice, along_batch ? MaskExtents{inner, outer, q, k} : MaskExtents{outer, inner, q, k}));
    }
    const Mask stacked = along_batch ? stack_batch(masks) : stack_heads(masks);
    int first = 0;
    for (const Mask& mask : masks) {
      const MaskExtents e = mask.extents();
      for (int b = 0; b < e.batch; ++b) {
        for (int h = 0; h < e.num_heads; ++h) {
          for (int i = 0; i < q; ++i) {
            for (int j = 0; j < k; ++j) {
              ASSERT_EQ(mask.is_visible(b, h, i, j),
                        stacked.is_visible(along_batch ? first + b : b, along_batch ? h : first + h, i, j))
                  << describe(stacked);
            }
          }
        }
      }
      first += along_batch ? e.batch : e.num_heads;
    }
    ASSERT_EQ(first, along_batch ? stacked.extents().batch : stacked.extents().num_heads);
  }
}

TEST(Composition, StacksOfOneFormKeepTheirValues) {
  const Mask a({MaskForm::kC1, kBottomRight, 2, 1, 4, 2, -1, -1}, {1, -7, 3, 99});
  const Mask b({MaskForm::kC1, kBottomRight, 2, 1, 4, 2, -1, -1}, {5, 6, 7, 8});
  EXPECT_EQ(stack_batch(std::vector{a, b}),
            Mask({MaskForm::kC1, kBottomRight, 4, 1, 4, 2, -1, -1}, {1, -7, 3, 99, 5, 6, 7, 8}));
  EXPECT_EQ(stack_heads(std::vector{a, b}),
            Mask({MaskForm::kC1, kBottomRight, 2, 2, 4, 2, -1, -1}, {1, -7, 5, 6, 3, 99, 7, 8}));
}

TEST(Composition, StacksRefuseWhatDoesNotFitTogether) {
  const Mask a({MaskForm::kNone, kBottomRight, 1, 2, 4, 4, -1, -1});
  const Mask b({MaskForm::kNone, kBottomRight, 1, 3, 4, 4, -1, -1});
  EXPECT_EQ(error_of([&] { (void)stack_batch({}); }), "0 masks cannot be stacked: at least 1 is needed");
  EXPECT_THAT(error_of([&] { (void)stack_batch(std::vector{a, a, b}); }),
              HasSubstr("masks 0 and 2 of [batch, num_heads, seqlen_q, seqlen_k] = [1, 2, 4, 4] and [1, 3, 4, 4]"));
  const Mask many({MaskForm::kNone, kBottomRight, 1, 1 << 29, 4, 4, -1, -1});
  EXPECT_THAT(error_of([&] { (void)stack_heads(std::vector{many, many}); }),
              HasSubstr("num_heads = 1073741824: at most 536870912 is allowed"));
}

TEST(Composition, ExpandingRepeatsTheValues) {
  Random random(22);
  for (int round = 0; round < 20; ++round) {
    for (const FormChoice& choice : form_choices()) {
      const Mask mask = random_mask(random, choice, 6, 5);
      const MaskExtents e = mask.extents();
      const int batch = e.batch == 1 ? random.between(1, 3) : e.batch;
      const int heads = e.num_heads == 1 ? random.between(1, 3) : e.num_heads;
      const Mask expanded = mask.expanded(batch, heads);
      ASSERT_EQ(expanded.extents(), (MaskExtents{batch, heads, e.seqlen_q, e.seqlen_k}));
      for (int b = 0; b < batch; ++b) {
        for (int h = 0; h < heads; ++h) {
          for (int i = 0; i < e.seqlen_q; ++i) {
            for (int j = 0; j < e.seqlen_k; ++j) {
              ASSERT_EQ(expanded.is_visible(b, h, i, j), mask.is_visible(b % e.batch, h % e.num_heads, i, j));
            }
          }
        }
      }
    }
  }
  const Mask two({MaskForm::kNone, kBottomRight, 2, 1, 4, 4, -1, -1});
  EXPECT_THAT(error_of([&] { (void)two.expanded(4, 1); }), HasSubstr("[2, 1] cannot be expanded to [4, 1]"));
  EXPECT_THAT(error_of([&] { (void)two.expanded(2, 0); }), HasSubstr("[2, 1] cannot be expanded to [2, 0]"));
}

}  // namespace
}  // namespace flashmask::mask_tests
