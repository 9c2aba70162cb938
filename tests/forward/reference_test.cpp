#include "flashmask/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "flashmask/error.h"
#include "tests/forward/owned_problem.h"

namespace flashmask::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Rows of '1' (visible) and '.', one per query.
std::vector<std::string> picture(const ForwardProblem& problem, int head = 0) {
  std::vector<std::string> rows;
  for (int i = 0; i < problem.seqlen_q; ++i) {
    rows.emplace_back();
    for (int j = 0; j < problem.seqlen_k; ++j) rows.back() += is_visible(problem, 0, head, i, j) ? '1' : '.';
  }
  return rows;
}

using testing::ElementsAre;

TEST(Visibility, OfACausalMaskIsBottomRightUnlessAskedOtherwise) {
  OwnedProblem wide = random_problem(MaskForm::kCausal, 2, 4);
  EXPECT_THAT(picture(wide.view()), ElementsAre("111.", "1111"));
  wide.problem.causal_alignment = CausalAlignment::kTopLeft;
  EXPECT_THAT(picture(wide.view()), ElementsAre("1...", "11.."));
  OwnedProblem tall = random_problem(MaskForm::kCausal, 4, 2);
  EXPECT_THAT(picture(tall.view()), ElementsAre("..", "..", "1.", "11"));
  tall.problem.causal_alignment = CausalAlignment::kTopLeft;
  EXPECT_THAT(picture(tall.view()), ElementsAre("1.", "11", "11", "11"));
}

TEST(Visibility, OfAWindowCountsKeysOnBothSidesOfTheDiagonal) {
  OwnedProblem window = random_problem(MaskForm::kWindow, 3, 5);
  window.problem.window_left = 1;
  window.problem.window_right = 0;
  EXPECT_THAT(picture(window.view()), ElementsAre(".11..", "..11.", "...11"));
  window.problem.window_left = -1;
  window.problem.window_right = 1;
  EXPECT_THAT(picture(window.view()), ElementsAre("1111.", "11111", "11111"));
  window.problem.causal_alignment = CausalAlignment::kTopLeft;
  window.problem.window_left = 0;
  window.problem.window_right = -1;
  EXPECT_THAT(picture(window.view()), ElementsAre("11111", ".1111", "..111"));
}

TEST(Visibility, OfAWindowSurvivesTheLargestBounds) {
  OwnedProblem window = random_problem(MaskForm::kWindow, 3, 3);
  window.problem.window_left = window.problem.window_right = std::numeric_limits<int>::max();
  EXPECT_THAT(picture(window.view()), ElementsAre("111", "111", "111"));
}

TEST(Visibility, OfEachFormMasksTheRowsThatItsVectorsName) {
  OwnedProblem c1 = random_problem(MaskForm::kC1, 4, 4);
  c1.intervals = {2, 4, 3, 0};
  EXPECT_THAT(picture(c1.view()), ElementsAre("1...", "11..", ".11.", ".1.."));
  OwnedProblem c2 = random_problem(MaskForm::kC2, 4, 4);
  c2.intervals = {1, 3, 2, 3, 4, 4, 0, 4};
  EXPECT_THAT(picture(c2.view()), ElementsAre("1...", ".1..", "..1.", "111."));
  OwnedProblem f2 = random_problem(MaskForm::kF2, 4, 3);
  f2.intervals = {3, 1, 4, 0, 2, 2};
  EXPECT_THAT(picture(f2.view()), ElementsAre(".1.", "11.", "11.", ".1."));
  OwnedProblem f4 = random_problem(MaskForm::kF4, 4, 2);
  f4.intervals = {2, 3, 0, 1, 0, 1, 3, 4};  // the second column names its intervals in the other order
  EXPECT_THAT(picture(f4.view()), ElementsAre("..", "11", ".1", "1."));
}

TEST(Visibility, ClampsIntervalsAndTakesSwappedOnesAsEmpty) {
  OwnedProblem f4 = random_problem(MaskForm::kF4, 3, 4);
  const int low = std::numeric_limits<int>::min(), high = std::numeric_limits<int>::max();
  f4.intervals = {low, 1, 0, 0, 2, high, 0, 0, 2, 1, high, low, low, high, 5, 7};
  EXPECT_THAT(picture(f4.view()), ElementsAre(".11.", "111.", "1.1."));
}

TEST(Visibility, TakesTheMaskOfTheHeadsGroup) {
  OwnedProblem f2 = random_problem(MaskForm::kF2, 1, 2, 8, 4);
  f2.problem.num_heads_mask = 2;
  f2.intervals = {1, 0, 0, 0, 0, 0, 1, 0};
  for (int head = 0; head < 4; ++head) {
    EXPECT_THAT(picture(f2.view(), head), ElementsAre(head < 2 ? "1." : ".1")) << head;
  }
}

TEST(Visibility, OfAWindowWrittenAsIntervalsIsTheWindow) {
  for (CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
    for (const auto& [seqlen_q, seqlen_k] : {std::pair(7, 7), {5, 9}, {9, 5}, {1, 6}, {6, 1}}) {
      for (int left = 0; left < 5; ++left) {
        for (int right = 0; right < 5; ++right) {
          OwnedProblem window = random_problem(MaskForm::kWindow, seqlen_q, seqlen_k);
          window.problem.causal_alignment = alignment;
          window.problem.window_left = left;
          window.problem.window_right = right;
          OwnedProblem intervals = random_problem(MaskForm::kF2, seqlen_q, seqlen_k);
          const int offset = alignment == CausalAlignment::kBottomRight ? seqlen_k - seqlen_q : 0;
          for (int j = 0; j < seqlen_k; ++j) {
            intervals.intervals[2 * j] = j - offset + left + 1;   // rows i > j - offset + left
            intervals.intervals[2 * j + 1] = j - offset - right;  // rows i < j - offset - right
          }
          EXPECT_EQ(picture(window.view()), picture(intervals.view())) << seqlen_q << " " << seqlen_k;
        }
      }
    }
  }
}

TEST(Attention, OverOneKeyIsItsValue) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 3, 1, 8);
  const ForwardResult result = attention(owned.view());
  for (int i = 0; i < 3; ++i) {
    double score = 0;
    for (int d = 0; d < 8; ++d) {
      EXPECT_EQ(result.output[i * 8 + d], to_float(owned.value[d], DataType::kBfloat16));
      score += static_cast<double>(to_float(owned.query[i * 8 + d], DataType::kBfloat16)) *
               to_float(owned.key[d], DataType::kBfloat16);
    }
    EXPECT_NEAR(result.lse[i], score * 0.25, 1e-12);
  }
}

TEST(Attention, OfTwoKeysIsTheSumComputedByHand) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 1, 2, 8);
  owned.query = bits_of({1, 0, 0, 0, 0, 0, 0, 0}, DataType::kBfloat16);
  owned.key = bits_of({2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}, DataType::kBfloat16);
  owned.value = bits_of({1, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, -8}, DataType::kBfloat16);
  owned.problem.softmax_scale = 0.5f;  // scores 1 and 2
  const ForwardResult result = attention(owned.view());
  const double first = 1 / (1 + std::exp(1.0)), second = 1 - first;
  EXPECT_THAT(result.output, testing::Pointwise(testing::DoubleNear(1e-15),
                                                {first, second, 0.0, 0.0, 0.0, 0.0, 0.0, 8 * (first - second)}));
  EXPECT_NEAR(result.lse[0], std::log(std::exp(1.0) + std::exp(2.0)), 1e-15);
}

TEST(Attention, OfEqualKeysIsTheMeanOfTheVisibleValues) {
  // One block boundary and one row-group boundary are crossed; the causal mean grows by one key per row.
  const int seqlen = 70;
  OwnedProblem owned = random_problem(MaskForm::kCausal, seqlen, seqlen, 8);
  std::ranges::fill(owned.key, 0);
  for (int j = 0; j < seqlen; ++j) {
    for (int d = 0; d < 8; ++d) owned.value[j * 8 + d] = from_float(static_cast<float>(j), DataType::kBfloat16);
  }
  const ForwardResult result = attention(owned.view());
  for (int i = 0; i < seqlen; ++i) {
    EXPECT_NEAR(result.output[i * 8 + 3], i / 2.0, 1e-12) << i;
    EXPECT_NEAR(result.lse[i], std::log(i + 1.0), 1e-12) << i;
  }
}

TEST(Attention, GivesTheHeadsOfAGroupTheirSharedKeys) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 2, 3, 8, 4);
  owned.problem.num_heads_kv = 2;
  owned.key.resize(3 * 2 * 8);
  owned.value.resize(3 * 2 * 8);
  // Every head asks the same, so that heads of one group must answer the same, and the groups not.
  for (int i = 0; i < 2; ++i) {
    for (int h = 1; h < 4; ++h) std::copy_n(&owned.query[i * 32], 8, &owned.query[i * 32 + h * 8]);
  }
  const ForwardResult result = attention(owned.view());
  for (int d = 0; d < 8; ++d) {
    EXPECT_EQ(result.output[d], result.output[8 + d]);
    EXPECT_EQ(result.output[16 + d], result.output[24 + d]);
    EXPECT_NE(result.output[d], result.output[16 + d]);
  }
}

TEST(Attention, OfARowThatSeesNoKeyIsZeroWithAnLseOfMinusInfinity) {
  OwnedProblem owned = random_problem(MaskForm::kC1, 4, 4, 8);
  owned.intervals = {2, 2, 2, 2};
  const ForwardResult result = attention(owned.view());
  const std::vector<float> naive = naive_attention(owned.view());
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(result.lse[i] == -kInfinity, i >= 2);
    for (int d = 0; d < 8; ++d) {
      EXPECT_EQ(result.output[i * 8 + d] == 0, i >= 2);
      EXPECT_EQ(naive[i * 8 + d] == 0, i >= 2);
    }
  }
}

TEST(Attention, DoesNotDependOnTheNumberOfThreads) {
  OwnedProblem owned = random_problem(MaskForm::kCausal, 100, 130, 24, 2);
  const ForwardResult one = attention(owned.view(), 1);
  const ForwardResult five = attention(owned.view(), 5);
  EXPECT_EQ(one.output, five.output);
  EXPECT_EQ(one.lse, five.lse);
  EXPECT_EQ(naive_attention(owned.view(), 1), naive_attention(owned.view(), 5));
}

TEST(Attention, SurvivesScoresFarBeyondTheRangeOfExp) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 2, 2, 8);
  owned.query = bits_of(std::vector<float>(16, 100.0f), DataType::kBfloat16);
  owned.key = bits_of(std::vector<float>(16, 100.0f), DataType::kBfloat16);
  const ForwardResult result = attention(owned.view());
  EXPECT_NEAR(result.lse[0], 8 * 100.0 * 100.0 * 0.25 + std::log(2.0), 1e-9);
  EXPECT_TRUE(std::isfinite(naive_attention(owned.view())[0]));
}

TEST(Attention, RefusesAnIllFormedProblemNamingEveryRule) {
  OwnedProblem owned = random_problem(MaskForm::kC1, 4, 4, 8);
  owned.intervals.pop_back();
  owned.key.push_back(0);
  try {
    attention(owned.view());
    FAIL() << "an ill-formed problem was computed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("key has 33"), testing::HasSubstr("startend_row_indices has 3")));
  }
}

/// The naive result as a kernel's: passes by construction.
std::pair<std::vector<std::uint16_t>, std::vector<float>> good_result(OwnedProblem& owned) {
  const ForwardResult reference = attention(owned.view());
  const std::vector<float> naive = naive_attention(owned.view());
  return {bits_of(naive, owned.problem.dtype), std::vector<float>(reference.lse.begin(), reference.lse.end())};
}

TEST(Compare, AcceptsTheNaiveResult) {
  for (DataType dtype : kTypes) {
    OwnedProblem owned = random_problem(MaskForm::kCausal, 33, 65, 16, 2);
    owned.problem.dtype = dtype;
    for (auto* bits : {&owned.query, &owned.key, &owned.value}) {
      for (std::uint16_t& element : *bits) element = from_float(to_float(element, DataType::kBfloat16), dtype);
    }
    const auto [output, lse] = good_result(owned);
    const Comparison comparison = compare(owned.view(), output, lse);
    EXPECT_TRUE(comparison.passed);
    EXPECT_GT(comparison.naive_output_error, 0);
    EXPECT_EQ(comparison.max_output_error, comparison.naive_output_error);
    EXPECT_EQ(comparison.dead_rows, 0u);
    EXPECT_TRUE(compare(owned.view(), output, {}).passed);
  }
}

TEST(Compare, NoticesEachKindOfError) {
  OwnedProblem owned = random_problem(MaskForm::kC1, 40, 40, 8);
  for (int j = 0; j < 40; ++j) owned.intervals[j] = 30;  // the last ten rows see nothing
  const auto [output, lse] = good_result(owned);
  const Comparison good = compare(owned.view(), output, lse);
  ASSERT_TRUE(good.passed);
  EXPECT_EQ(good.dead_rows, 10u);

  auto wrong = output;
  wrong[5] = from_float(to_float(wrong[5], DataType::kBfloat16) + 2 * static_cast<float>(good.output_bound),
                        DataType::kBfloat16);
  EXPECT_FALSE(compare(owned.view(), wrong, lse).passed);
  wrong = output;
  wrong[5] = 0x7fc0;
  EXPECT_FALSE(compare(owned.view(), wrong, lse).passed);
  EXPECT_EQ(compare(owned.view(), wrong, lse).nan_count, 1u);
  wrong = output;
  wrong[5] = 0x7f80;
  EXPECT_FALSE(compare(owned.view(), wrong, lse).passed);
  wrong = output;
  wrong[35 * 8] = 1;  // the smallest subnormal, in a dead row
  EXPECT_FALSE(compare(owned.view(), wrong, lse).passed);
  EXPECT_EQ(compare(owned.view(), wrong, lse).dead_rows_wrong, 1u);

  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [row, value] :
       {std::pair(0, lse[0] + 3e-4f), {0, -infinity}, {0, infinity}, {0, NAN}, {35, infinity}, {35, 0.0f}}) {
    auto wrong_lse = lse;
    wrong_lse[row] = value;
    EXPECT_FALSE(compare(owned.view(), output, wrong_lse).passed) << row << " " << value;
  }
}

TEST(Compare, BoundsTheErrorByTwiceTheNaiveOneAndOneUnitInTheLastPlace) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 1, 1, 8);
  std::ranges::fill(owned.value, from_float(3.0f, DataType::kBfloat16));
  const auto [output, lse] = good_result(owned);  // exact: one key
  const Comparison comparison = compare(owned.view(), output, lse);
  EXPECT_EQ(comparison.naive_output_error, 0);
  EXPECT_EQ(comparison.output_bound, std::ldexp(1.0, 1 - 7));  // 3 = 1.5 * 2^1, 7 fraction bits
  std::vector<std::uint16_t> next(output);
  ++next[0];
  EXPECT_TRUE(compare(owned.view(), next, lse).passed);
  ++next[0];
  EXPECT_FALSE(compare(owned.view(), next, lse).passed);
}

TEST(Compare, RefusesResultsOfOtherLengthsNamingEachOfThem) {
  OwnedProblem owned = random_problem(MaskForm::kNone, 4, 5, 8);
  auto [output, lse] = good_result(owned);
  output.pop_back();
  lse.push_back(0);
  try {
    compare(owned.view(), output, lse);
    FAIL() << "results of other lengths were compared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("output has 31 elements: 32"),
                                             testing::HasSubstr("lse has 5 elements: 4")));
  }
}

/// The value of a pattern from the definition of the format, in arithmetic that is exact.
double value_of(std::uint16_t bits, DataType dtype) {
  const int fraction_bits = dtype == DataType::kFloat16 ? 10 : 7;
  const int exponent_bits = 15 - fraction_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction ? std::nan("") : sign * kInfinity;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

TEST(HalfPrecision, EveryPatternHasTheValueOfItsDefinition) {
  for (DataType dtype : kTypes) {
    for (int bits = 0; bits < 65536; ++bits) {
      const float actual = to_float(static_cast<std::uint16_t>(bits), dtype);
      const double expected = value_of(static_cast<std::uint16_t>(bits), dtype);
      ASSERT_TRUE(std::isnan(expected) ? std::isnan(actual) : actual == expected) << bits;
      ASSERT_EQ(std::signbit(actual), (bits & 0x8000) != 0) << bits;
    }
  }
}

TEST(HalfPrecision, EveryPatternComesBackFromItsFloat) {
  for (DataType dtype : kTypes) {
    for (int bits = 0; bits < 65536; ++bits) {
      const float value = to_float(static_cast<std::uint16_t>(bits), dtype);
      const std::uint16_t back = from_float(value, dtype);
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(to_float(back, dtype))) << bits;
        ASSERT_EQ(back & 0x8000, bits & 0x8000) << bits;
      } else {
        ASSERT_EQ(back, bits);
      }
    }
  }
}

TEST(HalfPrecision, RoundsToNearestEvenBetweenEveryTwoNeighbours) {
  for (DataType dtype : kTypes) {
    const int infinity = dtype == DataType::kFloat16 ? 0x7c00 : 0x7f80;
    for (int bits = 0; bits + 1 < infinity; ++bits) {  // below the largest finite number
      const auto low = static_cast<std::uint16_t>(bits), high = static_cast<std::uint16_t>(bits + 1);
      const float middle = static_cast<float>((static_cast<double>(to_float(low, dtype)) + to_float(high, dtype)) / 2);
      const std::uint16_t even = bits % 2 == 0 ? low : high;
      const float sign_of[] = {1.0f, -1.0f};
      for (float sign : sign_of) {
        const std::uint16_t sign_bit = sign < 0 ? 0x8000 : 0;
        ASSERT_EQ(from_float(sign * middle, dtype), even | sign_bit) << bits;
        ASSERT_EQ(from_float(sign * std::nextafter(middle, 0.0f), dtype), low | sign_bit) << bits;
        ASSERT_EQ(from_float(sign * std::nextafter(middle, INFINITY), dtype), high | sign_bit) << bits;
      }
    }
  }
}

TEST(HalfPrecision, RoundsToInfinityFromHalfAStepAboveTheLargestNumber) {
  EXPECT_EQ(from_float(65504.0f, DataType::kFloat16), 0x7bff);
  EXPECT_EQ(from_float(std::nextafter(65520.0f, 0.0f), DataType::kFloat16), 0x7bff);
  EXPECT_EQ(from_float(65520.0f, DataType::kFloat16), 0x7c00);
  EXPECT_EQ(from_float(1e30f, DataType::kFloat16), 0x7c00);
  EXPECT_EQ(from_float(std::numeric_limits<float>::max(), DataType::kBfloat16), 0x7f80);
  EXPECT_EQ(from_float(-std::numeric_limits<float>::infinity(), DataType::kFloat16), 0xfc00);
  EXPECT_EQ(from_float(std::numeric_limits<float>::denorm_min(), DataType::kFloat16), 0);
}

}  // namespace
}  // namespace flashmask::reference
