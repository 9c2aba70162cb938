#include "runtime/reference/gradients.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <type_traits>
#include <vector>

#include "runtime/reference/half_precision.h"
#include "runtime/reference/problem.h"
#include "runtime/reference/row_groups.h"

namespace flashmask::reference {
namespace {

/// The gradients of one key head and of the query heads that share it: tasks write disjoint results, each in one order,
/// so that the result does not depend on the number of threads. fp32 rounds where a careful user's tensors would be of
/// the dtype; fp64 never does.
template <typename Real>
class KeyHeadTask {
 public:
  KeyHeadTask(const BackwardProblem& problem, const Converted<Real>& converted, Gradients<Real>& result)
      : problem_(problem),
        p_(problem.forward),
        converted_(converted),
        result_(result),
        work_(p_, converted),
        padded_qk_(blocks_of(p_.head_dim_qk, 8) * 8),
        padded_v_(converted.padded_v),
        keys_(static_cast<std::int64_t>(converted.blocks) * kColumns) {}

  void run(int batch, int head_kv) {
    take_rows(batch, head_kv);
    terms_of_key_.assign(keys_, Real{0});
    key_gradient_.assign(keys_ * padded_qk_, Real{0});
    value_gradient_.assign(keys_ * padded_v_, Real{0});
    const int group = p_.num_heads_q / p_.num_heads_kv;
    for (int head = head_kv * group; head < (head_kv + 1) * group; ++head)
      for (int first = 0; first < p_.seqlen_q; first += kRows)
        absorb({batch, head, first, std::min(kRows, p_.seqlen_q - first)});
    for (std::int64_t j = 0; j < p_.seqlen_k; ++j) {
      const std::int64_t row = (std::int64_t{batch} * p_.seqlen_k + j) * p_.num_heads_kv + head_kv;
      for (int d = 0; d < p_.head_dim_qk; ++d)
        result_.key[row * p_.head_dim_qk + d] =
            stored(key_gradient_[j * padded_qk_ + d] * static_cast<Real>(p_.softmax_scale));
      for (int d = 0; d < p_.head_dim_v; ++d)
        result_.value[row * p_.head_dim_v + d] = stored(value_gradient_[j * padded_v_ + d]);
      largest_of_key_ = std::max(largest_of_key_, terms_of_key_[j]);
    }
  }

  /// Of all runs, the largest sum of P o (|dP| + |D|) over a row's keys, and over a key's rows.
  Real largest_of_row() const { return largest_of_row_; }
  Real largest_of_key() const { return largest_of_key_; }

 private:
  Real stored(Real value) const {
    if constexpr (std::is_same_v<Real, float>) return rounded(value, p_.dtype);
    return value;
  }

  /// Keys as rows and values transposed, the other way round from what the forward multiplies by.
  void take_rows(int batch, int head_kv) {
    key_rows_.assign(keys_ * padded_qk_, Real{0});
    values_.assign(keys_ * p_.head_dim_v, Real{0});
    for (std::int64_t j = 0; j < p_.seqlen_k; ++j) {
      const std::int64_t row = (std::int64_t{batch} * p_.seqlen_k + j) * p_.num_heads_kv + head_kv;
      for (int d = 0; d < p_.head_dim_qk; ++d)
        key_rows_[j * padded_qk_ + d] = to_float(p_.key[row * p_.head_dim_qk + d], p_.dtype);
      Real* value = values_.data() + j / kColumns * kColumns * p_.head_dim_v + j % kColumns;
      for (int d = 0; d < p_.head_dim_v; ++d)
        value[d * kColumns] = to_float(p_.value[row * p_.head_dim_v + d], p_.dtype);
    }
  }

  void absorb(const RowGroup& g) {
    work_.compute_scores(g);
    bool sees[kRows] = {};
    for (int r = 0; r < kRows; ++r) {
      Real max = 0;
      Real* row = work_.row(r);
      const Real sum = r < g.count ? work_.exponentials(r, max) : Real{0};
      sees[r] = sum != 0;
      for (std::int64_t j = 0; j < keys_; ++j) row[j] = sees[r] ? row[j] / sum : Real{0};
    }
    take_queries(g, sees);
    work_.multiply_values(g);
    score_gradient_.assign(kRows * keys_, Real{0});
    for (int block = 0; block < converted_.blocks; ++block)
      multiply_accumulate(score_gradient_.data() + block * kColumns, keys_, output_gradient_.data(),
                          std::int64_t{p_.head_dim_v}, values_.data() + std::int64_t{block} * kColumns * p_.head_dim_v,
                          std::int64_t{kColumns}, p_.head_dim_v, kColumns);
    for (int r = 0; r < g.count; ++r) {
      const Real delta = sees[r] ? delta_of(g, r) : Real{0};
      Real* gradient = score_gradient_.data() + r * keys_;
      Real* probability = work_.row(r);
      Real terms_of_row = 0;
      for (std::int64_t j = 0; j < keys_; ++j) {
        const Real terms = probability[j] * (std::abs(gradient[j]) + std::abs(delta));
        terms_of_row += terms;
        terms_of_key_[j] += terms;
        gradient[j] = stored(probability[j] * (gradient[j] - delta));
        probability[j] = stored(probability[j]);
      }
      largest_of_row_ = std::max(largest_of_row_, terms_of_row);
    }
    write_queries(g);
    add_transposed(key_gradient_, padded_qk_, score_gradient_.data(), query_);
    add_transposed(value_gradient_, padded_v_, work_.row(0), padded_output_gradient_);
  }

  /// Q and dO of the group; zeros of rows that see no key, whose dO may be anything.
  void take_queries(const RowGroup& g, const bool (&sees)[kRows]) {
    query_.assign(kRows * padded_qk_, Real{0});
    output_gradient_.assign(static_cast<std::size_t>(kRows) * p_.head_dim_v, Real{0});
    padded_output_gradient_.assign(kRows * padded_v_, Real{0});
    for (int r = 0; r < g.count; ++r) {
      if (!sees[r]) continue;
      const std::int64_t row = row_of(g, r);
      for (int d = 0; d < p_.head_dim_qk; ++d)
        query_[r * padded_qk_ + d] = to_float(p_.query[row * p_.head_dim_qk + d], p_.dtype);
      for (int d = 0; d < p_.head_dim_v; ++d)
        output_gradient_[r * p_.head_dim_v + d] = padded_output_gradient_[r * padded_v_ + d] =
            to_float(problem_.output_gradient[row * p_.head_dim_v + d], p_.dtype);
    }
  }

  /// rowsum(dO o O) - dLSE
  Real delta_of(const RowGroup& g, int r) const {
    Real sum = 0;
    for (int d = 0; d < p_.head_dim_v; ++d) sum += output_gradient_[r * p_.head_dim_v + d] * stored(work_.output(r)[d]);
    if (!problem_.lse_gradient.empty())
      sum -= problem_.lse_gradient[(std::int64_t{g.batch} * p_.num_heads_q + g.head) * p_.seqlen_q + g.first + r];
    return sum;
  }

  /// dQ = scale * dS K
  void write_queries(const RowGroup& g) {
    std::vector<Real>& gradient = query_gradient_;
    gradient.assign(kRows * padded_qk_, Real{0});
    multiply_accumulate(gradient.data(), padded_qk_, score_gradient_.data(), keys_, key_rows_.data(), padded_qk_,
                        static_cast<int>(keys_), static_cast<int>(padded_qk_));
    for (int r = 0; r < g.count; ++r)
      for (int d = 0; d < p_.head_dim_qk; ++d)
        result_.query[row_of(g, r) * p_.head_dim_qk + d] =
            stored(gradient[r * padded_qk_ + d] * static_cast<Real>(p_.softmax_scale));
  }

  /// sums += scores^T rows, `scores` [kRows, keys], `rows` [kRows, columns].
  void add_transposed(std::vector<Real>& sums, std::int64_t columns, const Real* scores,
                      const std::vector<Real>& rows) const {
    for (std::int64_t first = 0; first < keys_; first += kRows) {
      Real transposed[kRows * kRows];
      for (int r = 0; r < kRows; ++r)
        for (int j = 0; j < kRows; ++j) transposed[j * kRows + r] = scores[r * keys_ + first + j];
      multiply_accumulate(sums.data() + first * columns, columns, transposed, std::int64_t{kRows}, rows.data(), columns,
                          kRows, static_cast<int>(columns));
    }
  }

  std::int64_t row_of(const RowGroup& g, int r) const {
    return (std::int64_t{g.batch} * p_.seqlen_q + g.first + r) * p_.num_heads_q + g.head;
  }

  const BackwardProblem& problem_;
  const ForwardProblem& p_;
  const Converted<Real>& converted_;
  Gradients<Real>& result_;
  RowGroupWork<Real> work_;
  std::int64_t padded_qk_, padded_v_, keys_;
  std::vector<Real> key_rows_, values_, query_, output_gradient_, padded_output_gradient_, score_gradient_,
      query_gradient_, key_gradient_, value_gradient_, terms_of_key_;
  Real largest_of_row_ = 0, largest_of_key_ = 0;
};

double largest_magnitude(std::span<const std::uint16_t> elements, DataType dtype) {
  double largest = 0;
  for (const std::uint16_t element : elements) largest = std::max<double>(largest, std::abs(to_float(element, dtype)));
  return largest;
}

template <typename Real>
Gradients<Real> compute(const BackwardProblem& problem, int threads, CancellingTerms& terms) {
  check(problem);
  const ForwardProblem& p = problem.forward;
  Gradients<Real> result;
  result.query.resize(p.query.size());
  result.key.resize(p.key.size());
  result.value.resize(p.value.size());
  const Converted<Real> converted(p);
  const std::int64_t tasks = std::int64_t{p.batch} * p.num_heads_kv;
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;  // of `terms`
  const auto run = [&] {
    KeyHeadTask<Real> task(problem, converted, result);
    for (std::int64_t index = next++; index < tasks; index = next++)
      task.run(static_cast<int>(index / p.num_heads_kv), static_cast<int>(index % p.num_heads_kv));
    const std::lock_guard lock(mutex);
    terms.query = std::max<double>(terms.query, task.largest_of_row());
    terms.key = std::max<double>(terms.key, task.largest_of_key());
  };
  std::int64_t wanted = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  wanted = std::min(wanted, tasks);
  std::vector<std::jthread> others;
  for (std::int64_t t = 1; t < wanted; ++t) others.emplace_back(run);
  run();
  others.clear();
  terms.query *= p.softmax_scale * largest_magnitude(p.key, p.dtype);
  terms.key *= p.softmax_scale * largest_magnitude(p.query, p.dtype);
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
