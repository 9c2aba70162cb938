#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

}  // namespace flashmask::reference
