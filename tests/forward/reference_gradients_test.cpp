// The reference's gradients: against central differences of a loss whose forward is written once more, in double and in
// the plainest loops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/reference.h"
#include "tests/forward/owned_problem.h"
#include "tests/forward/plain_attention.h"

namespace flashmask::reference {
namespace {

constexpr float kFloatInfinity = std::numeric_limits<float>::infinity();
constexpr float kFloatNan = std::numeric_limits<float>::quiet_NaN();

struct Heads {
  int q = 1, kv = 1, mask = 1;
};

/// The scale is 1 / sqrt(head_dim_qk), the window 3 keys to the left and 2 to the right.
ForwardProblem problem_of(MaskForm form, int batch, int seqlen_q, int seqlen_k, const Heads& heads, int head_dim_qk,
                          int head_dim_v, DataType dtype = DataType::kBfloat16) {
  ForwardProblem problem;
  problem.dtype = dtype;
  problem.mask_form = form;
  problem.batch = batch;
  problem.seqlen_q = seqlen_q;
  problem.seqlen_k = seqlen_k;
  problem.num_heads_q = heads.q;
  problem.num_heads_kv = heads.kv;
  problem.num_heads_mask = heads.mask;
  problem.head_dim_qk = head_dim_qk;
  problem.head_dim_v = head_dim_v;
  problem.window_left = 3;
  problem.window_right = 2;
  problem.softmax_scale = 1 / std::sqrt(static_cast<float>(head_dim_qk));
  return problem;
}

/// Of `loss`, by an input. The step is a power of two, so that no input is rounded: 2^-17 is about 1e-5.
template <typename Loss>
double central_difference(double& input, const Loss& loss) {
  constexpr double kStep = 0x1p-17;
  const double start = input;
  input = start + kStep;
  const double above = loss();
  input = start - kStep;
  const double below = loss();
  input = start;
  return (above - below) / (2 * kStep);
}

/// Compares gradients() with central differences of the loss: of each gradient `samples` elements spread evenly, the
/// last one among them, or all if there are no more.
void expect_central_differences(OwnedBackward& owned, std::size_t samples) {
  const BackwardProblem problem = owned.view();
  const ForwardProblem& p = problem.forward;
  const Gradients<double> actual = gradients(problem);
  PlainAttention plain(problem);
  // Of the rows that an input reaches alone: the others' parts of the loss stay as they are.
  const auto compare_elements = [&](const char* name, std::vector<double>& input, const std::vector<double>& gradient,
                                    const auto& loss) {
    ASSERT_EQ(gradient.size(), input.size()) << name;
    const std::size_t stride = std::max<std::size_t>(input.size() / samples, 1) | 1;
    for (std::size_t back = 0; back < input.size(); back += stride) {
      const std::size_t e = input.size() - 1 - back;
      const double expected = central_difference(input[e], [&] { return loss(e); });
      EXPECT_NEAR(gradient[e], expected, 1e-6 * std::max(0.1, std::fabs(expected))) << name << " " << e;
    }
  };
  compare_elements("dQ", plain.query, actual.query, [&](std::size_t e) {
    const int row = static_cast<int>(e / p.head_dim_qk);
    return plain.loss(row / p.num_heads_q / p.seqlen_q, row % p.num_heads_q, row / p.num_heads_q % p.seqlen_q);
  });
  const auto loss_of_key = [&](int row) {
    const int group = plain.heads_per_key_head(), first = row % p.num_heads_kv * group;
    double sum = 0;
    for (int head = first; head < first + group; ++head)
      for (int i = 0; i < p.seqlen_q; ++i) sum += plain.loss(row / p.num_heads_kv / p.seqlen_k, head, i);
    return sum;
  };
  compare_elements("dK", plain.key, actual.key,
                   [&](std::size_t e) { return loss_of_key(static_cast<int>(e / p.head_dim_qk)); });
  compare_elements("dV", plain.value, actual.value,
                   [&](std::size_t e) { return loss_of_key(static_cast<int>(e / p.head_dim_v)); });
}

struct FormCase {
  MaskForm form;
  CausalAlignment alignment;
};
void PrintTo(const FormCase& tested, std::ostream* stream) {
  *stream << to_string(tested.form) << " " << to_string(tested.alignment);
}

class GradientsOfForm : public testing::TestWithParam<FormCase> {};

TEST_P(GradientsOfForm, AreTheCentralDifferencesOfTheLoss) {
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  const struct {
    int batch, seqlen_q, seqlen_k;
    Heads heads;
    int head_dim_qk, head_dim_v;
    DataType dtype;
    LseGradient lse_gradient;
  } cases[] = {
      {2, 12, 9, {4, 2, 1}, 8, 16, DataType::kBfloat16, LseGradient::kRandom},
      {1, 9, 20, {4, 1, 4}, 16, 8, DataType::kFloat16, LseGradient::kNone},
      {2, 18, 7, {3, 3, 3}, 8, 8, DataType::kFloat16, LseGradient::kRandom},
      {1, 8, 8, {6, 2, 2}, 8, 24, DataType::kBfloat16, LseGradient::kNone},
  };
  for (const auto& c : cases) {
    ForwardProblem problem =
        problem_of(GetParam().form, c.batch, c.seqlen_q, c.seqlen_k, c.heads, c.head_dim_qk, c.head_dim_v, c.dtype);
    problem.causal_alignment = GetParam().alignment;
    SCOPED_TRACE(testing::Message() << "Sq " << c.seqlen_q << ", Sk " << c.seqlen_k << ", heads " << c.heads.q);
    OwnedBackward owned = random_backward(problem, c.lse_gradient);
    int visible = 0;
    for (int i = 0; i < c.seqlen_q; ++i)
      for (int j = 0; j < c.seqlen_k; ++j) visible += is_visible(owned.forward.view(), 0, 0, i, j);
    EXPECT_GT(visible, 0);
    EXPECT_EQ(visible < c.seqlen_q * c.seqlen_k, GetParam().form != MaskForm::kNone);
    expect_central_differences(owned, kAll);
  }
}

std::vector<FormCase> form_cases() {
  std::vector<FormCase> all;
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4})
    for (CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft})
      all.push_back({form, alignment});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Form, GradientsOfForm, testing::ValuesIn(form_cases()),
                         [](const testing::TestParamInfo<FormCase>& test) {
                           const bool top_left = test.param.alignment == CausalAlignment::kTopLeft;
                           return std::string(to_string(test.param.form)) + (top_left ? "_top_left" : "_bottom_right");
                         });

TEST(Gradients, AreTheCentralDifferencesAtLengthsAroundBlocksAndHeadDimsUpTo256) {
  // Blocks are 16 rows by 64 keys.
  const struct {
    MaskForm form;
    int seqlen_q, seqlen_k, head_dim_qk, head_dim_v;
  } cases[] = {
      {MaskForm::kNone, 1, 1, 8, 8},       {MaskForm::kNone, 15, 63, 24, 8},    {MaskForm::kF4, 17, 65, 72, 24},
      {MaskForm::kC1, 16, 64, 256, 256},   {MaskForm::kCausal, 33, 130, 8, 72}, {MaskForm::kF2, 1, 65, 256, 72},
      {MaskForm::kWindow, 31, 1, 24, 256}, {MaskForm::kC2, 35, 140, 24, 24},    {MaskForm::kCausal, 70, 3, 5, 11},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << "Sq " << c.seqlen_q << ", Sk " << c.seqlen_k << ", head dims " << c.head_dim_qk
                                    << "/" << c.head_dim_v);
    OwnedBackward owned =
        random_backward(problem_of(c.form, 1, c.seqlen_q, c.seqlen_k, {2, 1, 2}, c.head_dim_qk, c.head_dim_v));
    expect_central_differences(owned, 50);
  }
}

TEST(Gradients, AreTheCentralDifferencesWhereKeyHeadsAreSummedInUnequalPartsOrInOne) {
  // 16 parts in all, or one for each key head where there are more.
  OwnedBackward few = random_backward(problem_of(MaskForm::kF4, 1, 100, 70, {4, 2, 2}, 8, 8));
  expect_central_differences(few, 50);
  OwnedBackward many = random_backward(problem_of(MaskForm::kC1, 3, 33, 65, {12, 6, 1}, 8, 8));
  expect_central_differences(many, 50);
}

TEST(Gradients, OfOneRowAndTwoKeysAreThoseComputedByHand) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 1, 2, {1, 1, 1}, 1, 1));
  owned.forward.problem.softmax_scale = 0.5f;
  owned.forward.query = bits_of({2}, DataType::kBfloat16);
  owned.forward.key = bits_of({1, 1}, DataType::kBfloat16);  // equal scores: both probabilities are 1/2
  owned.forward.value = bits_of({3, 7}, DataType::kBfloat16);
  owned.output_gradient = bits_of({4}, DataType::kBfloat16);
  owned.lse_gradient = {6};
  const Gradients<double> actual = gradients(owned.view());
  // O = 5, dP = (12, 28), D = 20 - 6, dS = (-1, 7)
  EXPECT_THAT(actual.value, testing::ElementsAre(2.0, 2.0));
  EXPECT_THAT(actual.key, testing::ElementsAre(-1.0, 7.0));
  EXPECT_THAT(actual.query, testing::ElementsAre(3.0));
}

TEST(Gradients, SurviveScoresFarBeyondTheRangeOfExp) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 3, 5, {1, 1, 1}, 8, 4));
  for (std::vector<std::uint16_t>* bits : {&owned.forward.query, &owned.forward.key})
    std::ranges::fill(*bits, from_float(100, DataType::kBfloat16));
  const Gradients<double> exact = gradients(owned.view());
  const Gradients<float> naive = naive_gradients(owned.view());
  for (std::size_t e = 0; e < exact.value.size(); ++e) {
    double sum = 0;  // of dO over the rows; each of the five keys has the probability 1/5
    for (int i = 0; i < 3; ++i) sum += to_float(owned.output_gradient[i * 4 + e % 4], DataType::kBfloat16);
    EXPECT_NEAR(exact.value[e], sum / 5, 1e-12) << e;
    EXPECT_NEAR(naive.value[e], sum / 5, 0x1p-7 * (1 + std::fabs(sum))) << e;
  }
}

/// 40 rows in two key heads of two query heads each; rows 5 to 8 and 17 to 24 see no key.
OwnedBackward problem_with_dead_rows(DataType dtype = DataType::kBfloat16) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kF4, 1, 40, 70, {4, 2, 1}, 8, 16, dtype));
  for (int j = 0; j < 70; ++j) {
    const std::int32_t rows[] = {17, 25, 5, 9};
    std::ranges::copy(rows, &owned.forward.intervals[j * 4]);
  }
  return owned;
}
bool is_dead(int i) {
  return (i >= 5 && i < 9) || (i >= 17 && i < 25);
}

template <typename Real>
void expect_equal(const Gradients<Real>& actual, const Gradients<Real>& expected) {
  EXPECT_EQ(actual.query, expected.query);
  EXPECT_EQ(actual.key, expected.key);
  EXPECT_EQ(actual.value, expected.value);
}

template <typename Real>
void expect_dead_rows_to_add_nothing(Gradients<Real> (*compute)(const BackwardProblem&, int)) {
  for (DataType dtype : kTypes) {
    OwnedBackward silent = problem_with_dead_rows(dtype);
    OwnedBackward loud = silent;
    const float not_finite[] = {kFloatNan, kFloatInfinity, -kFloatInfinity};
    for (int i = 0; i < 40; ++i) {
      if (!is_dead(i)) continue;
      std::fill_n(&silent.output_gradient[i * 64], 64, 0);
      for (int head = 0; head < 4; ++head) {
        silent.lse_gradient[head * 40 + i] = 0;
        loud.lse_gradient[head * 40 + i] = not_finite[(head + i) % 3];
      }
    }
    const Gradients<Real> quiet = compute(silent.view(), 1);
    const std::uint16_t largest = dtype == DataType::kFloat16 ? 0x7bff : 0x7f7f;
    for (std::uint16_t bits : {largest, from_float(kFloatInfinity, dtype), from_float(kFloatNan, dtype)}) {
      for (int i = 0; i < 40; ++i)
        if (is_dead(i)) std::fill_n(&loud.output_gradient[i * 64], 64, bits);
      expect_equal(compute(loud.view(), 1), quiet);
    }
    for (int i = 0; i < 40; ++i)
      EXPECT_EQ(std::all_of(&quiet.query[i * 32], &quiet.query[i * 32] + 32, [](Real value) { return value == 0; }),
                is_dead(i))
          << i;
  }
}

TEST(Gradients, OfARowThatSeesNoKeyAreZeroAndNothingOfItReachesKeysAndValues) {
  expect_dead_rows_to_add_nothing<double>(gradients);
}

TEST(NaiveGradients, OfARowThatSeesNoKeyAreZeroAndNothingOfItReachesKeysAndValues) {
  expect_dead_rows_to_add_nothing<float>(naive_gradients);
}

/// Key 3 is seen by no row of heads 0 and 1, which share key head 0; key 66 by none of head 0 alone.
OwnedBackward problem_with_unseen_keys() {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kF2, 1, 20, 70, {4, 2, 4}, 8, 16));
  for (int head = 0; head < 4; ++head) {
    for (int j = 0; j < 70; ++j) {
      const bool hidden = (j == 3 && head < 2) || (j == 66 && head == 0);
      owned.forward.intervals[(head * 70 + j) * 2] = hidden ? 12 : 20;
      owned.forward.intervals[(head * 70 + j) * 2 + 1] = hidden ? 12 : 0;
    }
  }
  return owned;
}

template <typename Real>
void expect_unseen_keys_to_get_zero(const Gradients<Real>& actual) {
  const auto is_zero = [](const std::vector<Real>& rows, int row, int head_dim) {
    return std::all_of(&rows[row * head_dim], &rows[row * head_dim] + head_dim, [](Real value) { return value == 0; });
  };
  for (int row = 0; row < 70 * 2; ++row) {  // keys by key heads
    EXPECT_EQ(is_zero(actual.key, row, 8), row == 3 * 2) << row;
    EXPECT_EQ(is_zero(actual.value, row, 16), row == 3 * 2) << row;
  }
}

TEST(Gradients, OfAKeyThatNoRowOfItsQueryHeadsSeesAreZero) {
  OwnedBackward owned = problem_with_unseen_keys();
  expect_unseen_keys_to_get_zero(gradients(owned.view()));
  expect_unseen_keys_to_get_zero(naive_gradients(owned.view()));
}

TEST(Gradients, AreZeroWhereNoRowSeesAKey) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kC1, 2, 40, 70, {4, 2, 1}, 8, 16));
  std::ranges::fill(owned.forward.intervals, 0);
  std::ranges::fill(owned.output_gradient, from_float(kFloatNan, DataType::kBfloat16));
  std::ranges::fill(owned.lse_gradient, kFloatNan);
  const auto expect_zeros = [](const auto& actual) {
    for (const auto* gradient : {&actual.query, &actual.key, &actual.value}) EXPECT_THAT(*gradient, testing::Each(0));
  };
  expect_zeros(gradients(owned.view()));
  expect_zeros(naive_gradients(owned.view()));
}

TEST(Gradients, HaveTheSameBitsForAnyNumberOfThreads) {
  const struct {
    int batch;
    Heads heads;
  } cases[] = {{1, {1, 1, 1}}, {2, {6, 3, 3}}, {2, {20, 10, 1}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << "batch " << c.batch << ", heads " << c.heads.q);
    OwnedBackward owned = random_backward(problem_of(MaskForm::kC2, c.batch, 100, 90, c.heads, 24, 16));
    const Gradients<double> one = gradients(owned.view(), 1);
    const Gradients<float> naive_one = naive_gradients(owned.view(), 1);
    for (int threads : {0, 2, 5, 40}) {
      expect_equal(gradients(owned.view(), threads), one);
      expect_equal(naive_gradients(owned.view(), threads), naive_one);
    }
  }
}

/// Expects gradients() to refuse the problem with all of `parts` in one message.
void expect_refused(const BackwardProblem& problem, const std::vector<std::string>& parts) {
  try {
    gradients(problem);
    FAIL() << "an ill-formed problem was computed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

TEST(Gradients, RefuseAnIllFormedProblemNamingEveryRule) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kC1, 2, 4, 5, {4, 2, 1}, 8, 16));
  BackwardProblem extents = owned.view();
  extents.forward.batch = 0;
  extents.forward.head_dim_v = -8;
  extents.forward.softmax_scale = kFloatNan;
  expect_refused(extents, {"batch = 0: at least 1", "head_dim_v = -8: at least 1", "softmax_scale = nan"});

  owned.forward.key.push_back(0);
  owned.forward.intervals.pop_back();
  owned.output_gradient.pop_back();
  owned.lse_gradient.push_back(0);
  expect_refused(owned.view(), {"key has 161 elements: 160", "startend_row_indices has 9 elements: 10",
                                "output_gradient has 511 elements: 512", "lse_gradient has 33 elements: 32, or none"});

  owned.forward.problem.softmax_scale = 0;
  owned.forward.problem.num_heads_mask = 3;
  expect_refused(owned.view(),
                 {"softmax_scale = 0: a finite number above 0", "num_heads_mask = 3: a divisor of num_heads_q = 4",
                  "key has 161 elements: 160", "startend_row_indices has 9 elements: 30",
                  "output_gradient has 511 elements: 512", "lse_gradient has 33 elements: 32, or none"});
}

constexpr int fraction_bits(DataType dtype) {
  return dtype == DataType::kFloat16 ? 10 : 7;
}
constexpr int least_exponent(DataType dtype) {
  return dtype == DataType::kFloat16 ? -14 : -126;
}

double largest_magnitude(const std::vector<double>& values) {
  double largest = 0;
  for (double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

/// The unit in the last place of a normal number.
double unit_of(double value, DataType dtype) {
  return std::ldexp(1.0, std::ilogb(value) - fraction_bits(dtype));
}

/// How far gradients with roundings may lie from the exact ones, elementwise: dS is off by what a rounded O leaves in D
/// and by its own rounding, P by its own, and the results by theirs; fp32 leaves 2^-18 of all terms.
Gradients<double> rounding_bounds(OwnedBackward& owned, const Gradients<double>& exact) {
  const BackwardProblem problem = owned.view();
  const ForwardProblem& p = problem.forward;
  const PlainAttention plain(problem);
  const auto rounding = [&](double value) {  // half a unit in the last place at most
    return std::ldexp(std::fabs(value), -fraction_bits(p.dtype) - 1) +
           std::ldexp(1.0, least_exponent(p.dtype) - fraction_bits(p.dtype) - 1);
  };
  constexpr double kSingle = 0x1p-18;
  Gradients<double> bounds{std::vector<double>(exact.query.size()), std::vector<double>(exact.key.size()),
                           std::vector<double>(exact.value.size())};
  for (int b = 0; b < p.batch; ++b)
    for (int h = 0; h < p.num_heads_q; ++h)
      for (int i = 0; i < p.seqlen_q; ++i) {
        const PlainAttention::Row row = plain.row(b, h, i);
        const double* output_gradient = plain.output_gradient(b, h, i);
        double delta = -plain.lse_gradient(b, h, i), delta_terms = std::fabs(delta), delta_error = 0;
        for (int d = 0; d < p.head_dim_v; ++d) {
          delta += output_gradient[d] * row.output[d];
          delta_terms += std::fabs(output_gradient[d] * row.output[d]);
          delta_error += std::fabs(output_gradient[d]) * rounding(row.output[d]);
        }
        for (int j = 0; j < p.seqlen_k; ++j) {
          if (row.probability[j] == 0) continue;
          const std::size_t query_row = plain.query_row(b, h, i), key_row = plain.key_row(b, h, j);
          const double* value = &plain.value[key_row * p.head_dim_v];
          double terms = delta_terms;
          for (int d = 0; d < p.head_dim_v; ++d) terms += std::fabs(output_gradient[d] * value[d]);
          const double gradient = row.probability[j] * (sum_of_products(output_gradient, value, p.head_dim_v) - delta);
          const double error = row.probability[j] * (delta_error + kSingle * terms) + rounding(gradient);
          for (int d = 0; d < p.head_dim_qk; ++d) {
            const std::size_t q = query_row * p.head_dim_qk + d, k = key_row * p.head_dim_qk + d;
            bounds.query[q] += p.softmax_scale * error * std::fabs(plain.key[k]);
            bounds.key[k] += p.softmax_scale * error * std::fabs(plain.query[q]);
          }
          for (int d = 0; d < p.head_dim_v; ++d)
            bounds.value[key_row * p.head_dim_v + d] +=
                (rounding(row.probability[j]) + kSingle * row.probability[j]) * std::fabs(output_gradient[d]);
        }
      }
  const auto with_result = [&](std::vector<double>& bound, const std::vector<double>& result) {
    for (std::size_t e = 0; e < bound.size(); ++e) bound[e] += rounding(std::fabs(result[e]) + 2 * bound[e]);
  };
  with_result(bounds.query, exact.query);
  with_result(bounds.key, exact.key);
  with_result(bounds.value, exact.value);
  return bounds;
}

TEST(NaiveGradients, DifferFromTheExactOnesByRoundingsAlone) {
  for (DataType dtype : kTypes) {
    OwnedBackward owned = random_backward(problem_of(MaskForm::kF4, 2, 37, 90, {4, 2, 2}, 24, 16, dtype));
    const Gradients<double> exact = gradients(owned.view());
    const Gradients<float> naive = naive_gradients(owned.view());
    const Gradients<double> bounds = rounding_bounds(owned, exact);
    const auto compare_elements = [&](const char* name, const auto& actual, const auto& expected, const auto& bound) {
      ASSERT_EQ(actual.size(), expected.size()) << name;
      std::size_t rounded = 0;
      for (std::size_t e = 0; e < actual.size(); ++e) {
        EXPECT_LE(std::fabs(actual[e] - expected[e]), bound[e]) << name << " " << e;
        EXPECT_EQ(to_float(from_float(actual[e], dtype), dtype), actual[e]) << name << " " << e;
        rounded += actual[e] != static_cast<float>(expected[e]);
      }
      EXPECT_GT(rounded, actual.size() / 2) << name;
    };
    compare_elements("dQ", naive.query, exact.query, bounds.query);
    compare_elements("dK", naive.key, exact.key, bounds.key);
    compare_elements("dV", naive.value, exact.value, bounds.value);
  }
}

TEST(NaiveGradients, RoundTheOutputTheProbabilitiesAndTheScoreGradients) {
  // Three keys of equal scores: P is 1/3, and 171/512 in bf16. dS cancels but for the roundings.
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 1, 3, {1, 1, 1}, 1, 2), LseGradient::kNone);
  owned.forward.problem.softmax_scale = 1;
  owned.forward.query = bits_of({0}, DataType::kBfloat16);
  owned.forward.key = bits_of({1, 1, 1}, DataType::kBfloat16);
  owned.forward.value = bits_of({1, 0, 0, 0, 0, 0}, DataType::kBfloat16);
  owned.output_gradient = bits_of({1, 254}, DataType::kBfloat16);
  const Gradients<float> naive = naive_gradients(owned.view());
  // D is 171/512, O's first element. dS is (1 - D) / 3 = 227.3/1024 and twice -D/3 = -114/1024. Without the rounding of
  // O they would be 228/1024 and twice -114/1024; without that of dS their sum would be -0.67/1024.
  EXPECT_THAT(naive.query, testing::ElementsAre(-1.0f / 1024));
  // 254 * 171/512 = 84.8, and 254/3 = 84.7; the neighbours of both in bf16 are 84.5 and 85.
  EXPECT_THAT(naive.value, testing::ElementsAre(171.0f / 512, 85, 171.0f / 512, 85, 171.0f / 512, 85));
}

float rounded_to(float value, DataType dtype) {
  return to_float(from_float(value, dtype), dtype);
}

/// The naive gradients of one head without a mask, in plain fp32 loops, with a rounding wherever an array of the dtype
/// would be written.
Gradients<float> plain_naive_gradients(const BackwardProblem& problem) {
  const ForwardProblem& p = problem.forward;
  const auto at = [&](std::span<const std::uint16_t> tensor, int row, int head_dim, int d) {
    return to_float(tensor[static_cast<std::size_t>(row) * head_dim + d], p.dtype);
  };
  Gradients<float> sums{std::vector<float>(p.query.size()), std::vector<float>(p.key.size()),
                        std::vector<float>(p.value.size())};
  for (int i = 0; i < p.seqlen_q; ++i) {
    std::vector<float> probability(p.seqlen_k);
    float max = -kFloatInfinity, sum = 0;
    for (int j = 0; j < p.seqlen_k; ++j) {
      for (int d = 0; d < p.head_dim_qk; ++d) {
        probability[j] += at(p.query, i, p.head_dim_qk, d) * at(p.key, j, p.head_dim_qk, d);
      }
      max = std::max(max, probability[j] *= p.softmax_scale);
    }
    for (float& x : probability) sum += x = std::exp(x - max);
    for (float& x : probability) x /= sum;
    float dot = 0;
    for (int d = 0; d < p.head_dim_v; ++d) {
      float output = 0;
      for (int j = 0; j < p.seqlen_k; ++j) {
        output += rounded_to(probability[j], p.dtype) * at(p.value, j, p.head_dim_v, d);
      }
      dot += at(problem.output_gradient, i, p.head_dim_v, d) * rounded_to(output, p.dtype);
    }
    dot -= problem.lse_gradient[i];
    for (int j = 0; j < p.seqlen_k; ++j) {
      float gradient = 0;
      for (int d = 0; d < p.head_dim_v; ++d) {
        gradient += at(problem.output_gradient, i, p.head_dim_v, d) * at(p.value, j, p.head_dim_v, d);
        sums.value[j * p.head_dim_v + d] +=
            rounded_to(probability[j], p.dtype) * at(problem.output_gradient, i, p.head_dim_v, d);
      }
      const float score_gradient = rounded_to(probability[j] * (gradient - dot), p.dtype);
      for (int d = 0; d < p.head_dim_qk; ++d) {
        sums.query[i * p.head_dim_qk + d] += score_gradient * at(p.key, j, p.head_dim_qk, d);
        sums.key[j * p.head_dim_qk + d] += score_gradient * at(p.query, i, p.head_dim_qk, d);
      }
    }
  }
  for (float& x : sums.query) x = rounded_to(x * p.softmax_scale, p.dtype);
  for (float& x : sums.key) x = rounded_to(x * p.softmax_scale, p.dtype);
  for (float& x : sums.value) x = rounded_to(x, p.dtype);
  return sums;
}

TEST(NaiveGradients, RoundWhereArraysOfTheDtypeWouldBeWritten) {
  for (DataType dtype : kTypes) {
    OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 45, 70, {1, 1, 1}, 24, 16, dtype));
    const Gradients<float> naive = naive_gradients(owned.view());
    const Gradients<float> plain = plain_naive_gradients(owned.view());
    const auto compare_elements = [&](const char* name, const auto& actual, const auto& expected) {
      ASSERT_EQ(actual.size(), expected.size()) << name;
      std::size_t equal = 0;
      for (std::size_t e = 0; e < actual.size(); ++e) equal += actual[e] == expected[e];
      // Sums in another order end in another number of the dtype now and then; a rounding too few or too many changes
      // a good part of them.
      EXPECT_GE(equal, actual.size() * 49 / 50) << name << ", " << actual.size() << " elements";
    };
    compare_elements("dQ", naive.query, plain.query);
    compare_elements("dK", naive.key, plain.key);
    compare_elements("dV", naive.value, plain.value);
  }
}

/// What a kernel would hand in.
struct Bits {
  std::vector<std::uint16_t> query, key, value;
};

template <typename Real>
Bits rounded(const Gradients<Real>& gradients, DataType dtype) {
  const auto bits = [&](const std::vector<Real>& values) {
    return bits_of(std::vector<float>(values.begin(), values.end()), dtype);
  };
  return {bits(gradients.query), bits(gradients.key), bits(gradients.value)};
}

GradientComparison compared(OwnedBackward& owned, const Bits& bits, int threads = 0) {
  return compare(owned.view(), bits.query, bits.key, bits.value, threads);
}

/// One of the three gradients, in all that holds them.
struct Part {
  const char* name;
  std::vector<std::uint16_t> Bits::* bits;
  GradientError GradientComparison::* error;
  std::vector<double> Gradients<double>::* exact;
  std::vector<float> Gradients<float>::* naive;
};
const Part kParts[] = {
    {"dQ", &Bits::query, &GradientComparison::query, &Gradients<double>::query, &Gradients<float>::query},
    {"dK", &Bits::key, &GradientComparison::key, &Gradients<double>::key, &Gradients<float>::key},
    {"dV", &Bits::value, &GradientComparison::value, &Gradients<double>::value, &Gradients<float>::value},
};

/// Expects that the comparison fails for this part and for no other.
void expect_only_wrong(const GradientComparison& comparison, const Part& wrong) {
  EXPECT_FALSE(comparison.passed);
  for (const Part& part : kParts) EXPECT_EQ((comparison.*part.error).passed, part.name != wrong.name) << part.name;
}

TEST(CompareGradients, AcceptsTheRoundedReferenceAndTheNaiveGradients) {
  for (DataType dtype : kTypes) {
    for (LseGradient lse_gradient : {LseGradient::kNone, LseGradient::kRandom}) {
      OwnedBackward owned =
          random_backward(problem_of(MaskForm::kC1, 2, 33, 65, {4, 2, 4}, 24, 8, dtype), lse_gradient);
      const Gradients<double> exact = gradients(owned.view());
      const GradientComparison rounding = compared(owned, rounded(exact, dtype));
      const GradientComparison naive = compared(owned, rounded(naive_gradients(owned.view()), dtype));
      EXPECT_TRUE(rounding.passed);
      EXPECT_TRUE(naive.passed);
      for (const Part& part : kParts) {
        EXPECT_GT((rounding.*part.error).max_error, 0) << part.name;
        EXPECT_LE((rounding.*part.error).max_error, unit_of(largest_magnitude(exact.*part.exact), dtype) / 2)
            << part.name;
        EXPECT_EQ((naive.*part.error).max_error, (naive.*part.error).naive_error) << part.name;
      }
    }
  }
}

TEST(CompareGradients, NoticesOneWrongElementANanAndAnInfinityInEachGradient) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kCausal, 1, 40, 70, {2, 1, 1}, 8, 16));
  const Gradients<double> exact = gradients(owned.view());
  const Bits good = rounded(exact, DataType::kBfloat16);
  const GradientComparison comparison = compared(owned, good);
  ASSERT_TRUE(comparison.passed);
  for (const Part& part : kParts) {
    const std::size_t element = (exact.*part.exact).size() - 3;
    const double beyond = (exact.*part.exact)[element] + 2 * (comparison.*part.error).bound;
    Bits wrong = good;
    (wrong.*part.bits)[element] = from_float(static_cast<float>(beyond), DataType::kBfloat16);
    expect_only_wrong(compared(owned, wrong), part);
    EXPECT_EQ((compared(owned, wrong).*part.error).nan_count, 0u);

    (wrong.*part.bits)[element] = 0x7fc0;
    expect_only_wrong(compared(owned, wrong), part);
    EXPECT_EQ((compared(owned, wrong).*part.error).nan_count, 1u);

    (wrong.*part.bits)[element] = 0xff80;
    expect_only_wrong(compared(owned, wrong), part);
  }
}

TEST(CompareGradients, AcceptsNoInfinityEvenWhereTheNaiveGradientsOverflow) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 2, 1, {1, 1, 1}, 8, 8, DataType::kFloat16));
  std::ranges::fill(owned.output_gradient, from_float(60000, DataType::kFloat16));  // dV is 120000
  const Gradients<float> naive = naive_gradients(owned.view());
  EXPECT_THAT(naive.value, testing::Each(kFloatInfinity));
  expect_only_wrong(compared(owned, rounded(naive, DataType::kFloat16)), kParts[2]);
}

TEST(CompareGradients, NoticesTheSmallestNumberInARowThatSeesNoKey) {
  OwnedBackward owned = problem_with_dead_rows();
  Bits bits = rounded(gradients(owned.view()), DataType::kBfloat16);
  const GradientComparison good = compared(owned, bits);
  EXPECT_TRUE(good.passed);
  EXPECT_EQ(good.query.zero_rows, 12u * 4);
  EXPECT_EQ(good.query.zero_rows_wrong, 0u);
  EXPECT_EQ(good.key.zero_rows, 0u);
  EXPECT_EQ(good.value.zero_rows, 0u);

  bits.query[(24 * 4 + 3) * 8 + 7] = 1;  // row 24, the last head
  const GradientComparison wrong = compared(owned, bits);
  expect_only_wrong(wrong, kParts[0]);
  EXPECT_EQ(wrong.query.zero_rows_wrong, 1u);
}

TEST(CompareGradients, NoticesTheSmallestNumberOfAKeyThatNoRowSees) {
  OwnedBackward owned = problem_with_unseen_keys();
  const Bits good = rounded(gradients(owned.view()), DataType::kBfloat16);
  EXPECT_TRUE(compared(owned, good).passed);
  EXPECT_EQ(compared(owned, good).query.zero_rows, 0u);
  for (const Part& part : {kParts[1], kParts[2]}) {
    EXPECT_EQ((compared(owned, good).*part.error).zero_rows, 1u);
    EXPECT_EQ((compared(owned, good).*part.error).zero_rows_wrong, 0u);
    Bits wrong = good;
    const std::size_t head_dim = (wrong.*part.bits).size() / (70 * 2);
    (wrong.*part.bits)[(3 * 2) * head_dim + 5] = 0x8001;
    expect_only_wrong(compared(owned, wrong), part);
    EXPECT_EQ((compared(owned, wrong).*part.error).zero_rows_wrong, 1u);
  }
}

/// 2^-20 of the terms of dS that cancel, as the bounds of dQ and dK take them; 0 for dV.
std::vector<double> parts_of_terms(OwnedBackward& owned) {
  const BackwardProblem problem = owned.view();
  const ForwardProblem& p = problem.forward;
  const PlainAttention plain(problem);
  double of_rows = 0;
  std::vector<double> of_keys(static_cast<std::size_t>(p.batch) * p.seqlen_k * p.num_heads_kv);
  for (int b = 0; b < p.batch; ++b)
    for (int h = 0; h < p.num_heads_q; ++h)
      for (int i = 0; i < p.seqlen_q; ++i) {
        const PlainAttention::Row row = plain.row(b, h, i);
        const double* output_gradient = plain.output_gradient(b, h, i);
        const double delta =
            sum_of_products(output_gradient, row.output.data(), p.head_dim_v) - plain.lse_gradient(b, h, i);
        double of_row = 0;
        for (int j = 0; j < p.seqlen_k; ++j) {
          const std::size_t key_row = plain.key_row(b, h, j);
          const double product = sum_of_products(output_gradient, &plain.value[key_row * p.head_dim_v], p.head_dim_v);
          const double terms = row.probability[j] * (std::fabs(product) + std::fabs(delta));
          of_row += terms;
          of_keys[key_row] += terms;
        }
        of_rows = std::max(of_rows, of_row);
      }
  const double part = std::ldexp(p.softmax_scale, -20);
  return {part * of_rows * largest_magnitude(plain.key),
          part * largest_magnitude(of_keys) * largest_magnitude(plain.query), 0};
}

TEST(CompareGradients, BoundsAreTwiceTheNaiveErrorTwoUnitsInTheLastPlaceAndAPartOfTheTermsThatCancel) {
  for (DataType dtype : kTypes) {
    OwnedBackward owned = random_backward(problem_of(MaskForm::kF2, 2, 33, 65, {4, 2, 2}, 24, 8, dtype));
    const Gradients<double> exact = gradients(owned.view());
    const Gradients<float> naive = naive_gradients(owned.view());
    const std::vector<double> terms = parts_of_terms(owned);
    const GradientComparison of_one_thread = compared(owned, rounded(exact, dtype), 1);
    for (int threads : {1, 2, 5}) {
      const GradientComparison comparison = compared(owned, rounded(exact, dtype), threads);
      for (const Part& part : kParts) {
        const std::vector<double>& values = exact.*part.exact;
        double naive_error = 0;
        for (std::size_t e = 0; e < values.size(); ++e)
          naive_error = std::max(naive_error, std::fabs((naive.*part.naive)[e] - values[e]));
        const double unit = unit_of(largest_magnitude(values), dtype);
        const double bound = 2 * naive_error + 2 * unit + terms[&part - kParts];
        EXPECT_EQ((comparison.*part.error).naive_error, naive_error) << part.name;
        EXPECT_NEAR((comparison.*part.error).bound, bound, 1e-12 * bound) << part.name;
        EXPECT_EQ((comparison.*part.error).bound, (of_one_thread.*part.error).bound) << part.name;
      }
    }
  }
}

TEST(CompareGradients, AcceptsANumberAtTheBoundAndNotTheNextOne) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 20, 30, {1, 1, 1}, 8, 8));
  const Gradients<double> exact = gradients(owned.view());
  const Bits good = rounded(exact, DataType::kBfloat16);
  const GradientComparison comparison = compared(owned, good);
  for (const Part& part : kParts) {
    const std::vector<double>& values = exact.*part.exact;
    const std::size_t element = std::ranges::max_element(values) - values.begin();
    const double allowed = values[element] + (comparison.*part.error).bound;
    Bits bits = good;
    std::uint16_t& pattern = (bits.*part.bits)[element];
    while (to_float(pattern + 1, DataType::kBfloat16) <= allowed) ++pattern;
    EXPECT_TRUE(compared(owned, bits).passed) << part.name;
    ++pattern;
    expect_only_wrong(compared(owned, bits), part);
  }
}

TEST(CompareGradients, AcceptsWhatFp32LeavesWhereScoreGradientsCancel) {
  // Every row sees one key: P is 1 and dP is D, so that dQ and dK are 0 but for what summing in another order leaves.
  const int seqlen = 40, head_dim = 128;
  ForwardProblem problem = problem_of(MaskForm::kWindow, 1, seqlen, seqlen, {1, 1, 1}, head_dim, head_dim);
  problem.window_left = problem.window_right = 0;
  OwnedBackward owned = random_backward(problem, LseGradient::kNone);
  const auto value_of = [](std::uint16_t bits) { return to_float(bits, DataType::kBfloat16); };
  Gradients<float> left = naive_gradients(owned.view());
  for (int i = 0; i < seqlen; ++i) {
    float upwards = 0, downwards = 0;
    const int first = i * head_dim, last = first + head_dim - 1;
    for (int d = 0; d < head_dim; ++d) {
      upwards += value_of(owned.output_gradient[first + d]) * value_of(owned.forward.value[first + d]);
      downwards += value_of(owned.output_gradient[last - d]) * value_of(owned.forward.value[last - d]);
    }
    const float score_gradient = problem.softmax_scale * (upwards - downwards);
    for (int d = 0; d < head_dim; ++d) {
      left.query[first + d] = score_gradient * value_of(owned.forward.key[first + d]);
      left.key[first + d] = score_gradient * value_of(owned.forward.query[first + d]);
    }
  }
  const GradientComparison comparison = compared(owned, rounded(left, DataType::kBfloat16));
  EXPECT_TRUE(comparison.passed);
  for (const Part& part : {kParts[0], kParts[1]}) {
    const GradientError& error = comparison.*part.error;
    EXPECT_GT(error.max_error, 1e-8) << part.name;
    EXPECT_GT(error.max_error, 8 * error.naive_error) << part.name;  // the terms alone allow it
    EXPECT_LT(error.bound, 1e-4) << part.name;                       // and no more than fp32's
    EXPECT_EQ(error.zero_rows, 0u) << part.name;

    Gradients<float> wrong = left;
    (wrong.*part.naive)[5] = 2 * static_cast<float>(error.bound);
    expect_only_wrong(compared(owned, rounded(wrong, DataType::kBfloat16)), part);
  }
}

TEST(CompareGradients, RefusesGradientsOfOtherLengthsNamingEachOfThem) {
  OwnedBackward owned = random_backward(problem_of(MaskForm::kNone, 1, 4, 5, {2, 1, 1}, 8, 16));
  Bits bits = rounded(gradients(owned.view()), DataType::kBfloat16);
  bits.query.pop_back();
  bits.key.push_back(0);
  bits.value.clear();
  try {
    compared(owned, bits);
    FAIL() << "gradients of other lengths were compared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("query_gradient has 63 elements: 64"),
                                             testing::HasSubstr("key_gradient has 41 elements: 40"),
                                             testing::HasSubstr("value_gradient has 0 elements: 80")));
  }
}

}  // namespace
}  // namespace flashmask::reference
