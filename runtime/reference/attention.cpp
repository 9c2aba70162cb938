#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "flashmask/reference.h"
#include "runtime/reference/blocked_product.h"
#include "runtime/reference/half_precision.h"
#include "runtime/reference/parallel.h"
#include "runtime/reference/problem.h"
#include "runtime/reference/row_group.h"

namespace flashmask::reference {
namespace {

/// Scores and outputs of one row group after another.
template <typename Real>
struct ForwardWork {
  ForwardWork(const ForwardProblem& p, const KeyBlocks<Real>& keys, const KeyBlocks<Real>& values_in_rows)
      : scores(p, keys), output(p.head_dim_v), values(values_in_rows) {}

  void multiply_values(const RowGroup& g) { scores.multiply(g, scores.pairs(), values, output); }

  RowGroupScores<Real> scores;
  GroupRows<Real> output;
  const KeyBlocks<Real>& values;
};

/// Calls `body` for every row group, whose scores are computed. Row groups write disjoint results.
template <typename Real, typename Body>
void for_each_row_group(const ForwardProblem& p, int threads, const Body& body) {
  const KeyBlocks<Real> keys(p, p.key, p.head_dim_qk, KeyOrder::kTransposed);
  const KeyBlocks<Real> values(p, p.value, p.head_dim_v, KeyOrder::kRows);
  in_parallel(
      row_groups_per_head(p) * p.batch * p.num_heads_q, threads, [&] { return ForwardWork<Real>(p, keys, values); },
      [&](ForwardWork<Real>& work, std::int64_t index) {
        const RowGroup group = row_group(p, index);
        work.scores.compute(group);
        body(work, group);
      });
}

}  // namespace

ForwardResult attention(const ForwardProblem& problem, int threads) {
  check(problem);
  ForwardResult result;
  const std::size_t rows = static_cast<std::size_t>(problem.batch) * problem.seqlen_q * problem.num_heads_q;
  result.output.resize(rows * problem.head_dim_v);
  result.lse.resize(rows);
  for_each_row_group<double>(problem, threads, [&](ForwardWork<double>& work, const RowGroup& g) {
    double sums[kGroupRows] = {};
    for (int r = 0; r < kGroupRows; ++r) {
      double max = 0;
      sums[r] = work.scores.exponentials(r, max);
      if (r >= g.count) continue;
      result.lse[g.lse_row(problem, r)] =
          sums[r] == 0 ? -std::numeric_limits<double>::infinity() : max + std::log(sums[r]);
    }
    work.multiply_values(g);
    for (int r = 0; r < g.count; ++r) {
      double* out = result.output.data() + g.packed_row(problem, r) * problem.head_dim_v;
      for (int d = 0; d < problem.head_dim_v; ++d) out[d] = sums[r] == 0 ? 0 : work.output.row(r)[d] / sums[r];
    }
  });
  return result;
}

std::vector<float> naive_attention(const ForwardProblem& problem, int threads) {
  check(problem);
  const std::size_t rows = static_cast<std::size_t>(problem.batch) * problem.seqlen_q * problem.num_heads_q;
  std::vector<float> output(rows * problem.head_dim_v);
  for_each_row_group<float>(problem, threads, [&](ForwardWork<float>& work, const RowGroup& g) {
    GroupPairs<float>& pairs = work.scores.pairs();
    for (int r = 0; r < kGroupRows; ++r) {
      float max = 0;
      const float sum = work.scores.exponentials(r, max);
      if (sum == 0) continue;  // a row that sees no key: its probabilities are 0 already
      float* p = pairs.row(r);
      for (std::int64_t j = 0; j < pairs.stride(); ++j) p[j] = rounded(p[j] / sum, problem.dtype);
    }
    work.multiply_values(g);
    for (int r = 0; r < g.count; ++r) {
      float* out = output.data() + g.packed_row(problem, r) * problem.head_dim_v;
      for (int d = 0; d < problem.head_dim_v; ++d) out[d] = rounded(work.output.row(r)[d], problem.dtype);
    }
  });
  return output;
}

}  // namespace flashmask::reference
