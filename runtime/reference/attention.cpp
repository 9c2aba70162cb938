#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "flashmask/reference.h"
#include "runtime/reference/half_precision.h"
#include "runtime/reference/problem.h"
#include "runtime/reference/row_groups.h"

namespace flashmask::reference {
namespace {

/// Calls `work` for every row group, spread over threads; each thread has one RowGroupWork. Row groups write disjoint
/// results, so that the result does not depend on the number of threads.
template <typename Real, typename Body>
void for_each_row_group(const ForwardProblem& p, int threads, const Body& body) {
  const Converted<Real> converted(p);
  const std::int64_t groups_per_head = blocks_of(p.seqlen_q, kRows);
  const std::int64_t groups = groups_per_head * p.batch * p.num_heads_q;
  std::atomic<std::int64_t> next{0};
  const auto run = [&] {
    RowGroupWork<Real> work(p, converted);
    for (std::int64_t index = next++; index < groups; index = next++) {
      const int first = static_cast<int>(index % groups_per_head) * kRows;
      const std::int64_t slice = index / groups_per_head;
      const RowGroup group{static_cast<int>(slice / p.num_heads_q), static_cast<int>(slice % p.num_heads_q), first,
                           std::min(kRows, p.seqlen_q - first)};
      work.compute_scores(group);
      body(work, group);
    }
  };
  std::int64_t wanted = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  wanted = std::min(wanted, groups);
  std::vector<std::jthread> others;
  for (std::int64_t t = 1; t < wanted; ++t) others.emplace_back(run);
  run();
}

std::int64_t output_row(const ForwardProblem& p, const RowGroup& g, int r) {
  return ((std::int64_t{g.batch} * p.seqlen_q + g.first + r) * p.num_heads_q + g.head) * p.head_dim_v;
}

}  // namespace

ForwardResult attention(const ForwardProblem& problem, int threads) {
  check(problem);
  ForwardResult result;
  const std::size_t rows = static_cast<std::size_t>(problem.batch) * problem.seqlen_q * problem.num_heads_q;
  result.output.resize(rows * problem.head_dim_v);
  result.lse.resize(rows);
  for_each_row_group<double>(problem, threads, [&](RowGroupWork<double>& work, const RowGroup& g) {
    double sums[kRows] = {};
    for (int r = 0; r < g.count; ++r) {
      double max = 0;
      sums[r] = work.exponentials(r, max);
      const std::int64_t lse_row =
          (std::int64_t{g.batch} * problem.num_heads_q + g.head) * problem.seqlen_q + g.first + r;
      result.lse[lse_row] = sums[r] == 0 ? -std::numeric_limits<double>::infinity() : max + std::log(sums[r]);
    }
    // Rows beyond the group hold -inf; they must not enter the product.
    for (int r = g.count; r < kRows; ++r) std::fill_n(work.row(r), work.row_length(), 0.0);
    work.multiply_values(g);
    for (int r = 0; r < g.count; ++r) {
      double* out = result.output.data() + output_row(problem, g, r);
      for (int d = 0; d < problem.head_dim_v; ++d) out[d] = sums[r] == 0 ? 0 : work.output(r)[d] / sums[r];
    }
  });
  return result;
}

std::vector<float> naive_attention(const ForwardProblem& problem, int threads) {
  check(problem);
  const std::size_t rows = static_cast<std::size_t>(problem.batch) * problem.seqlen_q * problem.num_heads_q;
  std::vector<float> output(rows * problem.head_dim_v);
  for_each_row_group<float>(problem, threads, [&](RowGroupWork<float>& work, const RowGroup& g) {
    for (int r = 0; r < g.count; ++r) {
      float max = 0;
      const float sum = work.exponentials(r, max);
      if (sum == 0) continue;  // a row that sees no key: its probabilities are 0 already
      float* p = work.row(r);
      for (std::int64_t j = 0; j < work.row_length(); ++j) p[j] = rounded(p[j] / sum, problem.dtype);
    }
    for (int r = g.count; r < kRows; ++r) std::fill_n(work.row(r), work.row_length(), 0.0f);
    work.multiply_values(g);
    for (int r = 0; r < g.count; ++r) {
      float* out = output.data() + output_row(problem, g, r);
      for (int d = 0; d < problem.head_dim_v; ++d) out[d] = rounded(work.output(r)[d], problem.dtype);
    }
  });
  return output;
}

}  // namespace flashmask::reference
