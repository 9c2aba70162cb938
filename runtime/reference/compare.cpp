#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/reference.h"
#include "runtime/reference/gradients.h"
#include "runtime/reference/half_precision.h"
#include "runtime/reference/problem.h"

namespace flashmask::reference {
namespace {

/// |actual - expected|; infinite where the difference is no number (both are the same infinity, or expected is NaN), so
/// that a maximum over it cannot lose it.
double distance(double actual, double expected) {
  const double difference = std::fabs(actual - expected);
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
}

struct Length {
  const char* name;
  std::size_t elements, expected;
};

/// Throws Error{kInvalidArgument} naming every array whose length is not the expected one.
void expect_lengths(std::initializer_list<Length> lengths) {
  std::string message;
  for (const Length& length : lengths) {
    if (length.elements == length.expected) continue;
    message += fmt::format("{}{} has {} elements: {} are needed for this problem", message.empty() ? "" : "; ",
                           length.name, length.elements, length.expected);
  }
  if (!message.empty()) throw Error(ErrorCode::kInvalidArgument, message);
}

/// Compares a gradient, rows of `head_dim` elements, of which those that `is_zero` names must be exactly 0.
template <typename IsZero>
GradientError compare_gradient(DataType dtype, int head_dim, std::span<const std::uint16_t> actual,
                               const std::vector<double>& reference, const std::vector<float>& naive, double terms,
                               const IsZero& is_zero) {
  GradientError result;
  double max_reference = 0;
  for (std::size_t row = 0; row < reference.size() / head_dim; ++row) {
    bool row_is_zero = true;
    for (std::size_t e = row * head_dim; e < (row + 1) * head_dim; ++e) {
      const double value = to_float(actual[e], dtype);
      row_is_zero &= value == 0;
      max_reference = std::max(max_reference, std::fabs(reference[e]));
      result.naive_error = std::max(result.naive_error, distance(naive[e], reference[e]));
      if (std::isnan(value)) {
        ++result.nan_count;
      } else {
        result.max_error = std::max(result.max_error, distance(value, reference[e]));
      }
    }
    if (!is_zero(row)) continue;
    ++result.zero_rows;
    result.zero_rows_wrong += !row_is_zero;
  }
  constexpr double kPartLeft = 0x1p-20;  // of fp32's 2^-23, for sums of many roundings
  result.bound = 2 * result.naive_error + 2 * unit_in_last_place(max_reference, dtype) + kPartLeft * terms;
  result.passed = result.max_error <= result.bound && std::isfinite(result.max_error) && result.nan_count == 0 &&
                  result.zero_rows_wrong == 0;
  return result;
}

}  // namespace

Comparison compare(const ForwardProblem& problem, std::span<const std::uint16_t> output, std::span<const float> lse,
                   int threads) {
  const ForwardResult reference = attention(problem, threads);
  const std::vector<float> naive = naive_attention(problem, threads);
  expect_lengths({{"output", output.size(), reference.output.size()},
                  {"lse", lse.size(), lse.empty() ? 0 : reference.lse.size()}});

  Comparison result;
  double max_reference = 0;
  for (int b = 0; b < problem.batch; ++b) {
    for (int h = 0; h < problem.num_heads_q; ++h) {
      for (int i = 0; i < problem.seqlen_q; ++i) {
        const std::size_t row = (static_cast<std::size_t>(b) * problem.num_heads_q + h) * problem.seqlen_q + i;
        const std::size_t first =
            ((static_cast<std::size_t>(b) * problem.seqlen_q + i) * problem.num_heads_q + h) * problem.head_dim_v;
        const bool dead = reference.lse[row] == -std::numeric_limits<double>::infinity();
        bool row_is_zero = true;
        for (std::size_t e = first; e < first + problem.head_dim_v; ++e) {
          const double expected = reference.output[e];
          const double actual = to_float(output[e], problem.dtype);
          row_is_zero &= actual == 0;
          max_reference = std::max(max_reference, std::fabs(expected));
          result.naive_output_error = std::max(result.naive_output_error, distance(naive[e], expected));
          if (std::isnan(actual)) {
            ++result.nan_count;
          } else {
            result.max_output_error = std::max(result.max_output_error, distance(actual, expected));
          }
        }
        bool lse_is_dead = true;
        if (!lse.empty()) {
          lse_is_dead = lse[row] == -std::numeric_limits<float>::infinity();
          if (std::isnan(lse[row])) {
            ++result.nan_count;
          } else if (!dead) {
            const double expected = reference.lse[row];
            const double error = distance(lse[row], expected) / std::max(1.0, std::fabs(expected));
            result.max_lse_error = std::max(result.max_lse_error, error);
          }
        }
        if (dead) {
          ++result.dead_rows;
          result.dead_rows_wrong += !(row_is_zero && lse_is_dead);
        }
      }
    }
  }
  result.output_bound = 2 * result.naive_output_error + unit_in_last_place(max_reference, problem.dtype);
  result.passed = result.max_output_error <= result.output_bound && std::isfinite(result.max_output_error) &&
                  result.max_lse_error <= result.lse_bound && result.nan_count == 0 && result.dead_rows_wrong == 0;
  return result;
}

GradientComparison compare(const BackwardProblem& problem, std::span<const std::uint16_t> query_gradient,
                           std::span<const std::uint16_t> key_gradient, std::span<const std::uint16_t> value_gradient,
                           int threads) {
  check(problem);
  const ForwardProblem& p = problem.forward;
  expect_lengths({{"query_gradient", query_gradient.size(), p.query.size()},
                  {"key_gradient", key_gradient.size(), p.key.size()},
                  {"value_gradient", value_gradient.size(), p.value.size()}});
  CancellingTerms terms;
  const Gradients<double> reference = gradients(problem, threads, terms);
  const Gradients<float> naive = naive_gradients(problem, threads);
  // Rows of Q and of K and V, as they lie in memory.
  std::vector<bool> query_sees(static_cast<std::size_t>(p.batch) * p.seqlen_q * p.num_heads_q);
  std::vector<bool> key_is_seen(static_cast<std::size_t>(p.batch) * p.seqlen_k * p.num_heads_kv);
  const int group = p.num_heads_q / p.num_heads_kv;
  for (int b = 0; b < p.batch; ++b)
    for (int h = 0; h < p.num_heads_q; ++h)
      for (int i = 0; i < p.seqlen_q; ++i)
        for (int j = 0; j < p.seqlen_k; ++j)
          if (is_visible(p, b, h, i, j)) {
            query_sees[(static_cast<std::size_t>(b) * p.seqlen_q + i) * p.num_heads_q + h] = true;
            key_is_seen[(static_cast<std::size_t>(b) * p.seqlen_k + j) * p.num_heads_kv + h / group] = true;
          }
  const auto is_unseen = [&](std::size_t row) { return !key_is_seen[row]; };
  GradientComparison result;
  result.query = compare_gradient(p.dtype, p.head_dim_qk, query_gradient, reference.query, naive.query, terms.query,
                                  [&](std::size_t row) { return !query_sees[row]; });
  result.key = compare_gradient(p.dtype, p.head_dim_qk, key_gradient, reference.key, naive.key, terms.key, is_unseen);
  result.value = compare_gradient(p.dtype, p.head_dim_v, value_gradient, reference.value, naive.value, 0, is_unseen);
  result.passed = result.query.passed && result.key.passed && result.value.passed;
  return result;
}

}  // namespace flashmask::reference
