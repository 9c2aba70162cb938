#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/reference.h"
#include "runtime/reference/half_precision.h"

namespace flashmask::reference {
namespace {

/// |actual - expected|; infinite where the difference is no number (both are the same infinity, or expected is NaN), so
/// that a maximum over it cannot lose it.
double distance(double actual, double expected) {
  const double difference = std::fabs(actual - expected);
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
}

void expect_length(const char* name, std::size_t length, std::size_t expected) {
  if (length == expected) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} has {} elements: {} are needed for this problem", name, length, expected));
}

/// What the mask leaves out altogether.
struct Unseen {
  std::vector<char> rows;  ///< [batch, seqlen_q, num_heads_q]: whether the row sees no key
  std::vector<char> keys;  ///< [batch, seqlen_k, num_heads_kv]: whether no row of the query heads sees the key
};

Unseen find_unseen(const ForwardProblem& p) {
  Unseen unseen{std::vector<char>(static_cast<std::size_t>(p.batch) * p.seqlen_q * p.num_heads_q, 1),
                std::vector<char>(static_cast<std::size_t>(p.batch) * p.seqlen_k * p.num_heads_kv, 1)};
  for (std::int64_t b = 0; b < p.batch; ++b) {
    for (int h = 0; h < p.num_heads_q; ++h) {
      const int head_kv = h / (p.num_heads_q / p.num_heads_kv);
      for (int i = 0; i < p.seqlen_q; ++i) {
        for (int j = 0; j < p.seqlen_k; ++j) {
          if (!is_visible(p, static_cast<int>(b), h, i, j)) continue;
          unseen.rows[(b * p.seqlen_q + i) * p.num_heads_q + h] = 0;
          unseen.keys[(b * p.seqlen_k + j) * p.num_heads_kv + head_kv] = 0;
        }
      }
    }
  }
  return unseen;
}

/// All of one gradient, [rows, head_dim]; `unseen` is [rows].
GradientError compare_gradient(DataType dtype, std::span<const std::uint16_t> gradient,
                               const std::vector<double>& reference, const std::vector<float>& naive,
                               const std::vector<char>& unseen) {
  GradientError result;
  double max_reference = 0;
  const std::size_t head_dim = reference.size() / unseen.size();
  for (std::size_t row = 0; row < unseen.size(); ++row) {
    bool row_is_zero = true;
    for (std::size_t e = row * head_dim; e < (row + 1) * head_dim; ++e) {
      const double actual = to_float(gradient[e], dtype);
      row_is_zero &= actual == 0;
      max_reference = std::max(max_reference, std::fabs(reference[e]));
      result.naive_error = std::max(result.naive_error, distance(naive[e], reference[e]));
      if (std::isnan(actual)) {
        ++result.nan_count;
      } else {
        result.max_error = std::max(result.max_error, distance(actual, reference[e]));
      }
    }
    if (unseen[row]) {
      ++result.zero_rows;
      result.zero_rows_wrong += !row_is_zero;
    }
  }
  result.bound = 2 * result.naive_error + unit_in_last_place(max_reference, dtype);
  result.passed = result.max_error <= result.bound && std::isfinite(result.max_error) && result.nan_count == 0 &&
                  result.zero_rows_wrong == 0;
  return result;
}

}  // namespace

Comparison compare(const ForwardProblem& problem, std::span<const std::uint16_t> output, std::span<const float> lse,
                   int threads) {
  const ForwardResult reference = attention(problem, threads);
  const std::vector<float> naive = naive_attention(problem, threads);
  expect_length("output", output.size(), reference.output.size());
  if (!lse.empty()) expect_length("lse", lse.size(), reference.lse.size());

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
  const Gradients<double> reference = gradients(problem, threads);
  const Gradients<float> naive = naive_gradients(problem, threads);
  expect_length("query_gradient", query_gradient.size(), reference.query.size());
  expect_length("key_gradient", key_gradient.size(), reference.key.size());
  expect_length("value_gradient", value_gradient.size(), reference.value.size());

  const DataType dtype = problem.forward.dtype;
  const Unseen unseen = find_unseen(problem.forward);
  GradientComparison result;
  result.query = compare_gradient(dtype, query_gradient, reference.query, naive.query, unseen.rows);
  result.key = compare_gradient(dtype, key_gradient, reference.key, naive.key, unseen.keys);
  result.value = compare_gradient(dtype, value_gradient, reference.value, naive.value, unseen.keys);
  result.passed = result.query.passed && result.key.passed && result.value.passed;
  return result;
}

}  // namespace flashmask::reference
