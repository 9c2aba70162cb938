#include "runtime/reference/gradients.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "runtime/reference/blocked_product.h"
#include "runtime/reference/half_precision.h"
#include "runtime/reference/parallel.h"
#include "runtime/reference/problem.h"
#include "runtime/reference/row_group.h"

namespace flashmask::reference {
namespace {

/// What becomes of a value that is kept in the problem's dtype: fp64 is the reference and loses nothing.
template <typename Real>
Real stored(Real value, DataType dtype) {
  if constexpr (std::is_same_v<Real, float>) return rounded(value, dtype);
  return value;
}

/// K and V, each in the order of both of its products.
template <typename Real>
struct KeysAndValues {
  explicit KeysAndValues(const ForwardProblem& p)
      : transposed_keys(p, p.key, p.head_dim_qk, KeyOrder::kTransposed),
        keys(p, p.key, p.head_dim_qk, KeyOrder::kRows),
        transposed_values(p, p.value, p.head_dim_v, KeyOrder::kTransposed),
        values(p, p.value, p.head_dim_v, KeyOrder::kRows) {}

  KeyBlocks<Real> transposed_keys;    ///< of S = Q · K^T
  KeyBlocks<Real> keys;               ///< of dQ = dS · K
  KeyBlocks<Real> transposed_values;  ///< of dP = dO · V^T
  KeyBlocks<Real> values;             ///< of O = P · V
};

/// What is summed over row groups of one KV head, as far as it is summed.
template <typename Real>
struct KeySums {
  std::vector<Real> key, value;   ///< dK (not scaled yet) and dV: [blocks * kBlockKeys, padded(head_dim)]
  std::vector<Real> terms;        ///< P ∘ (|dP| + |D|) of each key: [blocks * kBlockKeys]
  Real largest_terms_of_row = 0;  ///< of all row groups, the largest sum of P ∘ (|dP| + |D|) over a row's keys

  void start(const ForwardProblem& p) {
    const std::size_t keys = static_cast<std::size_t>(blocks_of(p.seqlen_k, kBlockKeys)) * kBlockKeys;
    key.assign(keys * padded(p.head_dim_qk), Real{0});
    value.assign(keys * padded(p.head_dim_v), Real{0});
    terms.assign(keys, Real{0});
  }
  /// Adds what was summed over other row groups of the head.
  void add(const KeySums& more) {
    for (std::size_t e = 0; e < key.size(); ++e) key[e] += more.key[e];
    for (std::size_t e = 0; e < value.size(); ++e) value[e] += more.value[e];
    for (std::size_t j = 0; j < terms.size(); ++j) terms[j] += more.terms[j];
    largest_terms_of_row = std::max(largest_terms_of_row, more.largest_terms_of_row);
  }
};

/// Everything between the inputs and the gradients, of one row group after another.
template <typename Real>
class BackwardWork {
 public:
  BackwardWork(const BackwardProblem& problem, const KeysAndValues<Real>& inputs)
      : problem_(problem),
        p_(problem.forward),
        inputs_(inputs),
        scores_(p_, inputs.transposed_keys),
        stored_probabilities_(scores_.blocks()),
        score_gradients_(scores_.blocks()),
        output_(p_.head_dim_v),
        output_gradient_(p_.head_dim_v),
        query_gradient_(p_.head_dim_qk) {}

  /// Writes the group's rows of dQ, and adds the group to the sums of its KV head.
  void run(const RowGroup& g, std::vector<Real>& query_gradient, KeySums<Real>& sums) {
    scores_.compute(g);
    output_gradient_.load(p_, g, problem_.output_gradient);
    compute_probabilities();
    scores_.multiply(g, stored_probabilities_, inputs_.values, output_);
    compute_score_gradients(g, sums);
    scores_.multiply(g, score_gradients_, inputs_.keys, query_gradient_);
    for (int r = 0; r < g.count; ++r) {
      if (!live_[r]) continue;  // dQ is 0 already
      Real* out = query_gradient.data() + g.packed_row(p_, r) * p_.head_dim_qk;
      for (int d = 0; d < p_.head_dim_qk; ++d) {
        out[d] = stored(p_.softmax_scale * query_gradient_.row(r)[d], p_.dtype);
      }
    }
    add_transposed(score_gradients_, scores_.query(), sums.key);
    add_transposed(stored_probabilities_, output_gradient_, sums.value);
  }

 private:
  /// P = softmax(S). Rows that see no key have neither P nor dO from here on: whatever their dO holds, it counts for
  /// nothing.
  void compute_probabilities() {
    GroupPairs<Real>& pairs = scores_.pairs();
    for (int r = 0; r < kGroupRows; ++r) {
      Real max = 0;
      const Real sum = scores_.exponentials(r, max);
      live_[r] = sum != 0;
      if (!live_[r]) std::fill_n(output_gradient_.row(r), output_gradient_.stride(), Real{0});
      Real* p = pairs.row(r);
      Real* stored_p = stored_probabilities_.row(r);
      for (std::int64_t j = 0; j < pairs.stride(); ++j) {
        if (live_[r]) p[j] /= sum;
        stored_p[j] = stored(p[j], p_.dtype);
      }
    }
  }

  /// dS = P ∘ (dP - D) in the live blocks, dP = dO · V^T, D = rowsum(dO ∘ O) - dLSE. Adds its terms to the sums.
  void compute_score_gradients(const RowGroup& g, KeySums<Real>& sums) {
    Real d_of_row[kGroupRows] = {};
    for (int r = 0; r < g.count; ++r) {
      if (!live_[r]) continue;  // dLSE may be anything there
      Real sum = 0;
      for (int d = 0; d < p_.head_dim_v; ++d) {
        sum += output_gradient_.row(r)[d] * stored(output_.row(r)[d], p_.dtype);
      }
      if (!problem_.lse_gradient.empty()) sum -= problem_.lse_gradient[g.lse_row(p_, r)];
      d_of_row[r] = sum;
    }
    std::ranges::fill(score_gradients_.all(), Real{0});
    Real terms_of_row[kGroupRows] = {};
    const std::int64_t stride = score_gradients_.stride();
    for (int block = 0; block < scores_.blocks(); ++block) {
      if (!scores_.is_live(block)) continue;
      Real* gradients = score_gradients_.block(block);
      multiply_accumulate(gradients, stride, output_gradient_.as_left_factor(),
                          inputs_.transposed_values.block(g.batch, g.head_kv, block),
                          inputs_.transposed_values.stride(), kGroupRows, p_.head_dim_v, kBlockKeys);
      const Real* probabilities = scores_.pairs().block(block);
      Real* terms_of_key = sums.terms.data() + std::int64_t{block} * kBlockKeys;
      for (int r = 0; r < kGroupRows; ++r) {
        for (int x = 0; x < kBlockKeys; ++x) {
          const Real probability = probabilities[r * stride + x];
          Real& gradient = gradients[r * stride + x];
          const Real terms = probability * (std::abs(gradient) + std::abs(d_of_row[r]));
          terms_of_row[r] += terms;
          terms_of_key[x] += terms;
          gradient = stored(probability * (gradient - d_of_row[r]), p_.dtype);
        }
      }
    }
    sums.largest_terms_of_row = std::max(sums.largest_terms_of_row, std::ranges::max(terms_of_row));
  }

  /// sums += pairs^T · rows over the live blocks.
  void add_transposed(const GroupPairs<Real>& pairs, const GroupRows<Real>& rows, std::vector<Real>& sums) const {
    for (int block = 0; block < scores_.blocks(); ++block) {
      if (!scores_.is_live(block)) continue;
      multiply_accumulate(sums.data() + std::int64_t{block} * kBlockKeys * rows.stride(), rows.stride(),
                          pairs.as_transposed_left_factor(block), rows.row(0), rows.stride(), kBlockKeys, kGroupRows,
                          rows.stride());
    }
  }

  const BackwardProblem& problem_;
  const ForwardProblem& p_;
  const KeysAndValues<Real>& inputs_;
  RowGroupScores<Real> scores_;            ///< S, then P
  GroupPairs<Real> stored_probabilities_;  ///< P as it enters products
  GroupPairs<Real> score_gradients_;       ///< dP, then dS
  GroupRows<Real> output_, output_gradient_, query_gradient_;
  bool live_[kGroupRows] = {};  ///< per row: whether it sees a key
};

/// Parts that the row groups of a KV head are dealt into, each with sums of its own: enough tasks for the cores where
/// there are few KV heads, and no more memory than it takes. It must not depend on the number of threads: sums are
/// rounded, and their order is part of the result.
std::int64_t parts_per_kv_head(const ForwardProblem& p, std::int64_t row_groups) {
  constexpr std::int64_t kTasks = 16;
  const std::int64_t kv_heads = std::int64_t{p.batch} * p.num_heads_kv;
  return std::min((kTasks + kv_heads - 1) / kv_heads, row_groups);
}

double largest_magnitude(std::span<const std::uint16_t> elements, DataType dtype) {
  double largest = 0;
  for (const std::uint16_t element : elements) largest = std::max<double>(largest, std::abs(to_float(element, dtype)));
  return largest;
}

template <typename Real>
Gradients<Real> compute(const BackwardProblem& problem, int threads, CancellingTerms& terms) {
  check(problem);
  const ForwardProblem& p = problem.forward;
  const KeysAndValues<Real> inputs(p);
  Gradients<Real> result;
  result.query.resize(p.query.size());
  result.key.resize(p.key.size());
  result.value.resize(p.value.size());

  // The row groups of a KV head's query heads lie side by side.
  const std::int64_t kv_heads = std::int64_t{p.batch} * p.num_heads_kv;
  const std::int64_t row_groups = row_groups_per_head(p) * (p.num_heads_q / p.num_heads_kv);
  const std::int64_t parts = parts_per_kv_head(p, row_groups);
  std::vector<KeySums<Real>> sums(kv_heads * parts);
  in_parallel(
      kv_heads * parts, threads, [&] { return BackwardWork<Real>(problem, inputs); },
      [&](BackwardWork<Real>& work, std::int64_t task) {
        sums[task].start(p);
        const std::int64_t first = task / parts * row_groups, part = task % parts;
        for (std::int64_t n = row_groups * part / parts; n < row_groups * (part + 1) / parts; ++n) {
          work.run(row_group(p, first + n), result.query, sums[task]);
        }
      });

  const auto write = [&](std::int64_t kv_head, const std::vector<Real>& sum, int head_dim, Real factor,
                         std::vector<Real>& gradient) {
    const std::int64_t batch = kv_head / p.num_heads_kv, head = kv_head % p.num_heads_kv;
    for (std::int64_t j = 0; j < p.seqlen_k; ++j) {
      const Real* from = sum.data() + j * padded(head_dim);
      Real* out = gradient.data() + ((batch * p.seqlen_k + j) * p.num_heads_kv + head) * head_dim;
      for (int d = 0; d < head_dim; ++d) out[d] = stored(factor * from[d], p.dtype);
    }
  };
  double largest_of_rows = 0, largest_of_keys = 0;
  for (std::int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
    KeySums<Real>& total = sums[kv_head * parts];
    for (std::int64_t part = 1; part < parts; ++part) total.add(sums[kv_head * parts + part]);
    write(kv_head, total.key, p.head_dim_qk, p.softmax_scale, result.key);
    write(kv_head, total.value, p.head_dim_v, Real{1}, result.value);
    largest_of_rows = std::max<double>(largest_of_rows, total.largest_terms_of_row);
    largest_of_keys = std::max<double>(largest_of_keys, std::ranges::max(total.terms));
  }
  terms.query = p.softmax_scale * largest_of_rows * largest_magnitude(p.key, p.dtype);
  terms.key = p.softmax_scale * largest_of_keys * largest_magnitude(p.query, p.dtype);
  return result;
}

}  // namespace

Gradients<double> gradients(const BackwardProblem& problem, int threads, CancellingTerms& terms) {
  return compute<double>(problem, threads, terms);
}

Gradients<double> gradients(const BackwardProblem& problem, int threads) {
  CancellingTerms terms;
  return gradients(problem, threads, terms);
}

Gradients<float> naive_gradients(const BackwardProblem& problem, int threads) {
  CancellingTerms terms;
  return compute<float>(problem, threads, terms);
}

}  // namespace flashmask::reference
