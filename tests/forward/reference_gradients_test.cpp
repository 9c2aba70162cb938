// The reference gradients against differences of a loss that is written down here a second time, in plain loops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/reference.h"

namespace flashmask::reference {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Shape {
  MaskForm form = MaskForm::kNone;
  CausalAlignment alignment = CausalAlignment::kBottomRight;
  int seqlen_q = 0, seqlen_k = 0;
  int batch = 1, heads_q = 1, heads_kv = 1, heads_mask = 1;
  int head_dim_qk = 4, head_dim_v = 4;
  int window_left = -1, window_right = -1;
  bool with_lse_gradient = true;
  DataType dtype = DataType::kBfloat16;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << to_string(s.form) << (s.alignment == CausalAlignment::kTopLeft ? " top-left, " : ", ") << s.seqlen_q
             << " x " << s.seqlen_k << ", batch " << s.batch << ", heads " << s.heads_q << "/" << s.heads_kv << "/"
             << s.heads_mask << ", head dims " << s.head_dim_qk << "/" << s.head_dim_v
             << (s.with_lse_gradient ? ", dLSE" : "");
}

/// A problem with its arrays: N(0, 1) data; intervals of any kind, some beyond the rows, some swapped.
struct OwnedProblem {
  ForwardProblem forward;
  std::vector<std::uint16_t> query, key, value, output_gradient;
  std::vector<float> lse_gradient;
  std::vector<std::int32_t> intervals;

  explicit OwnedProblem(const Shape& s) {
    forward.dtype = s.dtype;
    forward.mask_form = s.form;
    forward.causal_alignment = s.alignment;
    forward.batch = s.batch;
    forward.seqlen_q = s.seqlen_q;
    forward.seqlen_k = s.seqlen_k;
    forward.num_heads_q = s.heads_q;
    forward.num_heads_kv = s.heads_kv;
    forward.num_heads_mask = s.heads_mask;
    forward.head_dim_qk = s.head_dim_qk;
    forward.head_dim_v = s.head_dim_v;
    forward.window_left = s.window_left;
    forward.window_right = s.window_right;
    forward.softmax_scale = 0.375f;
    std::mt19937 random(s.seqlen_q * 131 + s.seqlen_k * 7 + s.heads_q);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::vector<std::uint16_t>& bits, int rows, int heads, int head_dim) {
      for (int n = s.batch * rows * heads * head_dim; n > 0; --n) bits.push_back(from_float(normal(random), s.dtype));
    };
    draw(query, s.seqlen_q, s.heads_q, s.head_dim_qk);
    draw(key, s.seqlen_k, s.heads_kv, s.head_dim_qk);
    draw(value, s.seqlen_k, s.heads_kv, s.head_dim_v);
    draw(output_gradient, s.seqlen_q, s.heads_q, s.head_dim_v);
    if (s.with_lse_gradient) {
      for (int n = s.batch * s.heads_q * s.seqlen_q; n > 0; --n) lse_gradient.push_back(normal(random));
    }
    std::uniform_int_distribution<std::int32_t> row(-2, s.seqlen_q + 2);
    intervals.resize(static_cast<std::size_t>(s.batch) * s.heads_mask * s.seqlen_k * vectors_per_column(s.form));
    for (std::int32_t& value_of_column : intervals) value_of_column = row(random);
  }

  BackwardProblem view() {
    forward.query = query;
    forward.key = key;
    forward.value = value;
    forward.startend_row_indices = intervals;
    return {forward, output_gradient, lse_gradient};
  }
  /// Where a query row starts in Q and in dO.
  std::size_t query_row(int b, int i, int h) const {
    return ((static_cast<std::size_t>(b) * forward.seqlen_q + i) * forward.num_heads_q + h) * forward.head_dim_qk;
  }
  std::size_t output_row(int b, int i, int h) const {
    return ((static_cast<std::size_t>(b) * forward.seqlen_q + i) * forward.num_heads_q + h) * forward.head_dim_v;
  }
  std::size_t lse_row(int b, int i, int h) const {
    return (static_cast<std::size_t>(b) * forward.num_heads_q + h) * forward.seqlen_q + i;
  }
};

std::vector<double> values_of(std::span<const std::uint16_t> bits, DataType dtype) {
  std::vector<double> values;
  for (std::uint16_t element : bits) values.push_back(to_float(element, dtype));
  return values;
}

/// L = sum(dO ∘ O) + sum(dLSE ∘ LSE) over the rows that see a key, as a function of Q, K and V.
struct Loss {
  const BackwardProblem& problem;
  std::vector<double> query, key, value, output_gradient;

  explicit Loss(const BackwardProblem& p)
      : problem(p),
        query(values_of(p.forward.query, p.forward.dtype)),
        key(values_of(p.forward.key, p.forward.dtype)),
        value(values_of(p.forward.value, p.forward.dtype)),
        output_gradient(values_of(p.output_gradient, p.forward.dtype)) {}

  double operator()() const {
    double loss = 0;
    for (int b = 0; b < problem.forward.batch; ++b) {
      for (int h = 0; h < problem.forward.num_heads_q; ++h) {
        for (int i = 0; i < problem.forward.seqlen_q; ++i) loss += of_row(b, h, i);
      }
    }
    return loss;
  }

  double of_row(int b, int h, int i) const {
    const ForwardProblem& p = problem.forward;
    const std::size_t row = (static_cast<std::size_t>(b) * p.seqlen_q + i) * p.num_heads_q + h;
    const int head_kv = h * p.num_heads_kv / p.num_heads_q;
    double sum = 0, weighted = 0;  // of exp(score), and of exp(score) * (dO · V); scores are small
    for (int j = 0; j < p.seqlen_k; ++j) {
      if (!is_visible(p, b, h, i, j)) continue;
      const std::size_t column = (static_cast<std::size_t>(b) * p.seqlen_k + j) * p.num_heads_kv + head_kv;
      double score = 0, product = 0;
      for (int d = 0; d < p.head_dim_qk; ++d) score += query[row * p.head_dim_qk + d] * key[column * p.head_dim_qk + d];
      for (int d = 0; d < p.head_dim_v; ++d) {
        product += output_gradient[row * p.head_dim_v + d] * value[column * p.head_dim_v + d];
      }
      sum += std::exp(score * p.softmax_scale);
      weighted += std::exp(score * p.softmax_scale) * product;
    }
    if (sum == 0) return 0;
    const std::size_t lse_row = (static_cast<std::size_t>(b) * p.num_heads_q + h) * p.seqlen_q + i;
    return weighted / sum + (problem.lse_gradient.empty() ? 0 : problem.lse_gradient[lse_row] * std::log(sum));
  }

  /// dL / dx by central differences of the fourth order, for x among the inputs of this loss.
  double derivative(double& x) const {
    constexpr double kStep = 0x1p-8;
    const double at = x;
    const auto difference = [&](double step) {
      x = at + step;
      const double above = (*this)();
      x = at - step;
      const double below = (*this)();
      x = at;
      return above - below;
    };
    return (8 * difference(kStep) - difference(2 * kStep)) / (12 * kStep);
  }
};

/// Compares every `stride`-th element of the gradients with the differences.
void expect_gradients_of_the_loss(const Shape& shape, int stride = 1) {
  OwnedProblem owned(shape);
  const BackwardProblem problem = owned.view();
  const Gradients<double> actual = gradients(problem);
  Loss loss(problem);
  const auto expect = [&](const char* name, const std::vector<double>& gradient, std::vector<double>& input) {
    ASSERT_EQ(gradient.size(), input.size()) << name << ", " << shape;
    for (std::size_t e = 0; e < input.size(); e += stride) {
      const double expected = loss.derivative(input[e]);
      ASSERT_NEAR(gradient[e], expected, 1e-7 * (1 + std::fabs(expected))) << name << "[" << e << "], " << shape;
    }
  };
  expect("dQ", actual.query, loss.query);
  expect("dK", actual.key, loss.key);
  expect("dV", actual.value, loss.value);
}

struct FormAndAlignment {
  MaskForm form;
  CausalAlignment alignment;
};
constexpr FormAndAlignment kForms[] = {
    {MaskForm::kNone, CausalAlignment::kBottomRight}, {MaskForm::kCausal, CausalAlignment::kBottomRight},
    {MaskForm::kCausal, CausalAlignment::kTopLeft},   {MaskForm::kWindow, CausalAlignment::kBottomRight},
    {MaskForm::kWindow, CausalAlignment::kTopLeft},   {MaskForm::kC1, CausalAlignment::kBottomRight},
    {MaskForm::kC1, CausalAlignment::kTopLeft},       {MaskForm::kC2, CausalAlignment::kBottomRight},
    {MaskForm::kC2, CausalAlignment::kTopLeft},       {MaskForm::kF2, CausalAlignment::kBottomRight},
    {MaskForm::kF4, CausalAlignment::kBottomRight},
};

TEST(Gradients, AreThoseOfTheLossForEveryMaskForm) {
  for (const FormAndAlignment& f : kForms) {
    for (const auto& [seqlen_q, seqlen_k] : {std::pair(6, 6), {4, 9}, {9, 4}}) {
      Shape shape{.form = f.form, .alignment = f.alignment, .seqlen_q = seqlen_q, .seqlen_k = seqlen_k};
      if (f.form == MaskForm::kWindow) shape.window_left = 2, shape.window_right = 1;
      expect_gradients_of_the_loss(shape);
    }
  }
}

TEST(Gradients, AreThoseOfTheLossForEveryRatioOfHeads) {
  struct Heads {
    int q, kv, mask;
  };
  for (const Heads& heads : {Heads{2, 2, 1}, {2, 2, 2}, {4, 2, 1}, {4, 2, 2}, {4, 2, 4}, {3, 1, 3}, {4, 1, 2}}) {
    for (MaskForm form : {MaskForm::kC1, MaskForm::kF4}) {
      expect_gradients_of_the_loss({.form = form,
                                    .seqlen_q = 5,
                                    .seqlen_k = 6,
                                    .batch = 2,
                                    .heads_q = heads.q,
                                    .heads_kv = heads.kv,
                                    .heads_mask = heads.mask,
                                    .head_dim_qk = 3,
                                    .head_dim_v = 3});
    }
  }
}

TEST(Gradients, AreThoseOfTheLossWhereHeadDimsDiffer) {
  for (const auto& [qk, v] : {std::pair(1, 1), {8, 3}, {3, 8}, {12, 7}, {7, 20}}) {
    for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
      expect_gradients_of_the_loss({.form = MaskForm::kCausal,
                                    .seqlen_q = 5,
                                    .seqlen_k = 6,
                                    .heads_q = 2,
                                    .head_dim_qk = qk,
                                    .head_dim_v = v,
                                    .dtype = dtype});
    }
  }
}

TEST(Gradients, AreThoseOfTheLossWithoutAGradientOfTheLse) {
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kC2, MaskForm::kF2}) {
    expect_gradients_of_the_loss(
        {.form = form, .seqlen_q = 7, .seqlen_k = 6, .heads_q = 2, .heads_mask = 2, .with_lse_gradient = false});
  }
}

TEST(Gradients, AreThoseOfTheLossAcrossTheBlocksOfTheirComputation) {
  // 16 rows, 64 keys; few KV heads are summed in parts, many are not.
  Shape shape{.form = MaskForm::kNone, .seqlen_q = 37, .seqlen_k = 131, .heads_q = 4, .heads_kv = 2};
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kF4}) {
    shape.form = form;
    expect_gradients_of_the_loss(shape, 61);
  }
  expect_gradients_of_the_loss({.seqlen_q = 17, .seqlen_k = 65, .batch = 3, .heads_q = 6, .heads_kv = 6}, 331);
}

TEST(Gradients, OfOneRowAndTwoKeysAreThoseComputedByHand) {
  Shape shape{.seqlen_q = 1, .seqlen_k = 2, .head_dim_qk = 1, .head_dim_v = 1};
  OwnedProblem owned(shape);
  const auto bits = [](float x) { return from_float(x, DataType::kBfloat16); };
  owned.forward.softmax_scale = 0.5f;
  owned.query = {bits(2)};
  owned.key = {bits(1), bits(1)};  // equal scores: both probabilities are 1/2
  owned.value = {bits(3), bits(7)};
  owned.output_gradient = {bits(4)};
  owned.lse_gradient = {6};
  const Gradients<double> actual = gradients(owned.view());
  // O = 5, dP = (12, 28), D = 20 - 6, dS = (-1, 7)
  EXPECT_THAT(actual.value, testing::ElementsAre(2.0, 2.0));
  EXPECT_THAT(actual.key, testing::ElementsAre(-1.0, 7.0));
  EXPECT_THAT(actual.query, testing::ElementsAre(3.0));
}

/// Every row from `first` on sees no key, in every head, and keys below `keys` are the only ones that are seen.
OwnedProblem problem_with_unseen(int first, int keys) {
  OwnedProblem owned({.form = MaskForm::kF2,
                      .seqlen_q = 40,
                      .seqlen_k = 150,
                      .batch = 2,
                      .heads_q = 4,
                      .heads_kv = 2,
                      .head_dim_qk = 8,
                      .head_dim_v = 12});
  for (std::size_t column = 0; column < owned.intervals.size() / 2; ++column) {
    const int j = static_cast<int>(column) % 150;
    owned.intervals[2 * column] = j < keys ? first : 0;
    owned.intervals[2 * column + 1] = 0;
  }
  return owned;
}

template <typename Real>
void expect_equal(const Gradients<Real>& a, const Gradients<Real>& b) {
  EXPECT_EQ(a.query, b.query);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.value, b.value);
}

TEST(Gradients, OfRowsThatSeeNoKeyAreZeroWhateverComesInForThem) {
  // Row groups of 16: the first sees keys, the second in part, the third not at all.
  OwnedProblem owned = problem_with_unseen(20, 150);
  const auto set_dead_rows = [&](float gradient, const std::vector<float>& of_lse) {
    for (int b = 0; b < 2; ++b) {
      for (int h = 0; h < 4; ++h) {
        for (int i = 20; i < 40; ++i) {
          std::fill_n(&owned.output_gradient[owned.output_row(b, i, h)], 12, from_float(gradient, DataType::kBfloat16));
          owned.lse_gradient[owned.lse_row(b, i, h)] = of_lse[i % of_lse.size()];
        }
      }
    }
  };
  set_dead_rows(0, {0});
  const Gradients<double> quiet = gradients(owned.view());
  const Gradients<float> quiet_naive = naive_gradients(owned.view());
  for (float gradient : {5.0f, kInfinity, kNan}) {
    set_dead_rows(gradient, {kNan, kInfinity, -kInfinity, 3.0f});
    expect_equal(gradients(owned.view()), quiet);
    expect_equal(naive_gradients(owned.view()), quiet_naive);
  }
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 4; ++h) {
      for (int i = 0; i < 40; ++i) {
        for (std::size_t e = owned.query_row(b, i, h); e < owned.query_row(b, i, h) + 8; ++e) {
          EXPECT_EQ(quiet.query[e] == 0, i >= 20);
          EXPECT_EQ(quiet_naive.query[e] == 0, i >= 20);
        }
      }
    }
  }
  EXPECT_TRUE(std::ranges::all_of(quiet.key, [](double x) { return std::isfinite(x) && x != 0; }));
  EXPECT_TRUE(std::ranges::all_of(quiet.value, [](double x) { return std::isfinite(x) && x != 0; }));
}

TEST(Gradients, OfKeysThatNoRowSeesAreExactlyZero) {
  OwnedProblem owned = problem_with_unseen(40, 70);  // the second of three blocks of keys is seen in part
  const auto expect = [](const auto& gradient, int head_dim) {
    for (std::size_t e = 0; e < gradient.size(); ++e) {
      const auto j = e / (2 * head_dim) % 150;  // [batch, 150 keys, 2 heads, head_dim]
      ASSERT_EQ(gradient[e] == 0, j >= 70) << e;
    }
  };
  const Gradients<double> exact = gradients(owned.view());
  const Gradients<float> naive = naive_gradients(owned.view());
  expect(exact.key, 8);
  expect(exact.value, 12);
  expect(naive.key, 8);
  expect(naive.value, 12);
}

TEST(Gradients, AreZeroWhereNothingIsSeenAtAll) {
  OwnedProblem owned = problem_with_unseen(0, 150);
  std::ranges::fill(owned.lse_gradient, kNan);
  const Gradients<double> actual = gradients(owned.view());
  for (const auto* gradient : {&actual.query, &actual.key, &actual.value}) {
    EXPECT_THAT(*gradient, testing::Each(0.0));
  }
}

TEST(Gradients, DoNotDependOnTheNumberOfThreads) {
  for (const auto& [batch, heads, heads_kv] : {std::tuple(1, 1, 1), {1, 6, 2}, {2, 20, 10}}) {
    OwnedProblem owned({.form = MaskForm::kC1,
                        .seqlen_q = 100,
                        .seqlen_k = 130,
                        .batch = batch,
                        .heads_q = heads,
                        .heads_kv = heads_kv,
                        .head_dim_qk = 24,
                        .head_dim_v = 16});
    const Gradients<double> exact = gradients(owned.view(), 1);
    const Gradients<float> naive = naive_gradients(owned.view(), 1);
    for (int threads : {0, 2, 5, 40}) {
      expect_equal(gradients(owned.view(), threads), exact);
      expect_equal(naive_gradients(owned.view(), threads), naive);
    }
  }
}

TEST(Gradients, SurviveScoresFarBeyondTheRangeOfExp) {
  OwnedProblem owned({.seqlen_q = 3, .seqlen_k = 5, .head_dim_qk = 8});
  for (auto* bits : {&owned.query, &owned.key}) {
    std::ranges::fill(*bits, from_float(100.0f, DataType::kBfloat16));
  }
  const Gradients<double> exact = gradients(owned.view());
  const Gradients<float> naive = naive_gradients(owned.view());
  for (std::size_t e = 0; e < exact.value.size(); ++e) {
    double sum = 0;  // of dO over the rows; each of the five keys has the probability 1/5
    for (int i = 0; i < 3; ++i) sum += to_float(owned.output_gradient[i * 4 + e % 4], DataType::kBfloat16);
    EXPECT_NEAR(exact.value[e], sum / 5, 1e-12);
    EXPECT_TRUE(std::isfinite(naive.value[e]));
  }
}

std::string refusal(const BackwardProblem& problem) {
  try {
    gradients(problem);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "not refused";
}

TEST(Gradients, RefuseAnIllFormedProblemNamingEveryRule) {
  OwnedProblem owned({.form = MaskForm::kC1, .seqlen_q = 3, .seqlen_k = 5, .heads_q = 2, .heads_kv = 1});
  owned.intervals.pop_back();
  owned.key.push_back(0);
  owned.output_gradient.pop_back();
  owned.lse_gradient.push_back(0);
  using testing::HasSubstr;
  EXPECT_THAT(refusal(owned.view()), testing::AllOf(HasSubstr("startend_row_indices has 4 elements: 5 are needed"),
                                                    HasSubstr("key has 21 elements: 20 are needed"),
                                                    HasSubstr("output_gradient has 23 elements: 24 are needed"),
                                                    HasSubstr("lse_gradient has 7 elements: 6 are needed")));
  owned.forward.batch = 0;
  owned.forward.softmax_scale = 0;
  EXPECT_THAT(refusal(owned.view()),
              testing::AllOf(HasSubstr("batch = 0: at least 1"), HasSubstr("softmax_scale = 0: a finite number")));
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
    float max = -kInfinity, sum = 0;
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
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    OwnedProblem owned({.seqlen_q = 45, .seqlen_k = 70, .head_dim_qk = 24, .head_dim_v = 16, .dtype = dtype});
    const Gradients<float> actual = naive_gradients(owned.view());
    const Gradients<float> expected = plain_naive_gradients(owned.view());
    const auto expect = [&](const char* name, const std::vector<float>& a, const std::vector<float>& b) {
      ASSERT_EQ(a.size(), b.size());
      std::size_t equal = 0;
      for (std::size_t e = 0; e < a.size(); ++e) equal += a[e] == b[e];
      // Sums in another order end in another number of the dtype now and then; a rounding too few or too many changes
      // a good part of them.
      EXPECT_GE(equal, a.size() * 49 / 50) << name << ", " << a.size() << " elements";
    };
    expect("dQ", actual.query, expected.query);
    expect("dK", actual.key, expected.key);
    expect("dV", actual.value, expected.value);
  }
}

/// Gradients as a kernel leaves them.
struct StoredGradients {
  std::vector<std::uint16_t> query, key, value;

  explicit StoredGradients(const Gradients<float>& gradients, DataType dtype) {
    for (float x : gradients.query) query.push_back(from_float(x, dtype));
    for (float x : gradients.key) key.push_back(from_float(x, dtype));
    for (float x : gradients.value) value.push_back(from_float(x, dtype));
  }
  GradientComparison compared_with(const BackwardProblem& problem) const { return compare(problem, query, key, value); }
};

TEST(CompareGradients, AcceptsTheNaiveOnesAndBoundsTheErrorByTwiceTheirs) {
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    OwnedProblem owned({.form = MaskForm::kCausal,
                        .seqlen_q = 65,
                        .seqlen_k = 65,
                        .heads_q = 4,
                        .heads_kv = 2,
                        .head_dim_qk = 24,
                        .head_dim_v = 16,
                        .dtype = dtype});
    const BackwardProblem problem = owned.view();
    const GradientComparison comparison = StoredGradients(naive_gradients(problem), dtype).compared_with(problem);
    EXPECT_TRUE(comparison.passed);
    const Gradients<double> exact = gradients(problem);
    const auto expect = [&](const GradientError& error, const std::vector<double>& reference) {
      EXPECT_TRUE(error.passed);
      EXPECT_GT(error.naive_error, 0);
      EXPECT_EQ(error.max_error, error.naive_error);
      EXPECT_EQ(error.zero_rows, 0u);
      double max = 0;
      for (double x : reference) max = std::max(max, std::fabs(x));
      const int fraction_bits = dtype == DataType::kFloat16 ? 10 : 7;
      EXPECT_EQ(error.bound, 2 * error.naive_error + std::ldexp(1.0, std::ilogb(max) - fraction_bits));
    };
    expect(comparison.query, exact.query);
    expect(comparison.key, exact.key);
    expect(comparison.value, exact.value);
  }
}

TEST(CompareGradients, NoticesOneWrongElementOfEachGradient) {
  OwnedProblem owned = problem_with_unseen(30, 100);
  const BackwardProblem problem = owned.view();
  const StoredGradients good(naive_gradients(problem), DataType::kBfloat16);
  const GradientComparison accepted = good.compared_with(problem);
  ASSERT_TRUE(accepted.passed);
  EXPECT_EQ(accepted.query.zero_rows, 2u * 4 * 10);
  EXPECT_EQ(accepted.key.zero_rows, 2u * 2 * 50);
  EXPECT_EQ(accepted.value.zero_rows, 2u * 2 * 50);

  struct Tensor {
    const char* name;
    std::vector<std::uint16_t> StoredGradients::* bits;
    GradientError GradientComparison::* error;
    std::size_t seen, unseen;  ///< elements
  };
  const Tensor tensors[] = {
      {"dQ", &StoredGradients::query, &GradientComparison::query, 11, owned.query_row(1, 33, 2) + 5},
      {"dK", &StoredGradients::key, &GradientComparison::key, 13, 120 * 2 * 8 + 5},
      {"dV", &StoredGradients::value, &GradientComparison::value, 17, (150 + 149) * 2 * 12 + 23},
  };
  for (const Tensor& tensor : tensors) {
    const auto with = [&](std::size_t element, std::uint16_t bits) {
      StoredGradients wrong = good;
      (wrong.*tensor.bits)[element] = bits;
      const GradientComparison comparison = wrong.compared_with(problem);
      EXPECT_FALSE(comparison.passed) << tensor.name << " " << element << " " << bits;
      int failed = 0;
      for (const GradientError& error : {comparison.query, comparison.key, comparison.value}) failed += !error.passed;
      EXPECT_EQ(failed, 1) << tensor.name;
      return comparison.*tensor.error;
    };
    const double bound = (accepted.*tensor.error).bound;
    const float right = to_float((good.*tensor.bits)[tensor.seen], DataType::kBfloat16);
    const GradientError off = with(tensor.seen, from_float(right + 2 * static_cast<float>(bound), DataType::kBfloat16));
    EXPECT_FALSE(off.passed);
    EXPECT_GT(off.max_error, bound);
    EXPECT_EQ(with(tensor.seen, 0x7fc0).nan_count, 1u);
    EXPECT_EQ(with(tensor.seen, 0xff80).max_error, kInfinity);
    EXPECT_EQ(with(tensor.unseen, 1).zero_rows_wrong, 1u);  // the smallest subnormal
    EXPECT_EQ(with(tensor.unseen, 0x7fc0).zero_rows_wrong, 1u);
  }
}

TEST(CompareGradients, AllowsOneUnitInTheLastPlaceWhereTheNaiveOneIsExact) {
  OwnedProblem owned({.seqlen_q = 1, .seqlen_k = 1});
  std::ranges::fill(owned.output_gradient, from_float(3.0f, DataType::kBfloat16));
  const BackwardProblem problem = owned.view();
  StoredGradients stored(naive_gradients(problem), DataType::kBfloat16);
  const GradientComparison comparison = stored.compared_with(problem);
  EXPECT_EQ(comparison.value.naive_error, 0);                 // one key: dV = dO
  EXPECT_EQ(comparison.value.bound, std::ldexp(1.0, 1 - 7));  // 3 = 1.5 * 2^1, 7 fraction bits
  ++stored.value[0];
  EXPECT_TRUE(stored.compared_with(problem).passed);
  ++stored.value[0];
  EXPECT_FALSE(stored.compared_with(problem).passed);
}

TEST(CompareGradients, RefusesGradientsOfAnotherLength) {
  OwnedProblem owned({.seqlen_q = 3, .seqlen_k = 5, .head_dim_qk = 8, .head_dim_v = 4});
  const BackwardProblem problem = owned.view();
  const StoredGradients good(naive_gradients(problem), DataType::kBfloat16);
  const auto refused = [&](const auto& change) -> std::string {
    StoredGradients wrong = good;
    change(wrong);
    try {
      wrong.compared_with(problem);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "not refused";
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](StoredGradients& g) { g.query.pop_back(); }),
              HasSubstr("query_gradient has 23 elements: 24 are needed"));
  EXPECT_THAT(refused([](StoredGradients& g) { g.key.push_back(0); }),
              HasSubstr("key_gradient has 41 elements: 40 are needed"));
  EXPECT_THAT(refused([](StoredGradients& g) { g.value.clear(); }),
              HasSubstr("value_gradient has 0 elements: 20 are needed"));
}

}  // namespace
}  // namespace flashmask::reference
