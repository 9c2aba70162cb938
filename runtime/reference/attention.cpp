#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include "flashmask/reference.h"
#include "runtime/reference/half_precision.h"
#include "runtime/reference/problem.h"

namespace flashmask::reference {
namespace {

constexpr int kRows = 16;     ///< query rows that one task holds
constexpr int kColumns = 64;  ///< keys of a block: their transposed rows and the scores of a row group stay in L1

int blocks_of(int extent, int block) {
  return (extent + block - 1) / block;
}

/// C[kRows][columns] += A[kRows][depth] · B[depth][columns], all row-major with their strides, `columns` a multiple
/// of 8. Four rows by eight columns of C stay in registers over the whole depth.
template <typename Real>
void multiply_accumulate(Real* c, std::int64_t c_stride, const Real* a, std::int64_t a_stride, const Real* b,
                         std::int64_t b_stride, int depth, int columns) {
  constexpr int kTileRows = 4;
  constexpr int kTileColumns = 8;
  for (int row = 0; row < kRows; row += kTileRows) {
    for (int column = 0; column < columns; column += kTileColumns) {
      Real sum[kTileRows][kTileColumns] = {};
      for (int k = 0; k < depth; ++k) {
        const Real* b_row = b + k * b_stride + column;
        for (int r = 0; r < kTileRows; ++r) {
          const Real factor = a[(row + r) * a_stride + k];
          for (int x = 0; x < kTileColumns; ++x) sum[r][x] += factor * b_row[x];
        }
      }
      for (int r = 0; r < kTileRows; ++r) {
        for (int x = 0; x < kTileColumns; ++x) c[(row + r) * c_stride + column + x] += sum[r][x];
      }
    }
  }
}

/// K and V in the arithmetic's type, converted once: keys in blocks of kColumns, transposed, so that a block is the B
/// of a product; both padded with zeros to whole blocks.
template <typename Real>
struct Converted {
  int blocks = 0;
  std::vector<Real> keys;    ///< [batch, num_heads_kv, blocks, head_dim_qk, kColumns]
  std::vector<Real> values;  ///< [batch, num_heads_kv, blocks * kColumns, padded_v]
  int padded_v = 0;          ///< head_dim_v up to a multiple of 8

  explicit Converted(const ForwardProblem& p) {
    blocks = blocks_of(p.seqlen_k, kColumns);
    padded_v = blocks_of(p.head_dim_v, 8) * 8;
    const std::size_t slices = static_cast<std::size_t>(p.batch) * p.num_heads_kv * blocks * kColumns;
    keys.resize(slices * p.head_dim_qk);
    values.resize(slices * padded_v);
    for (std::int64_t b = 0; b < p.batch; ++b) {
      for (std::int64_t j = 0; j < p.seqlen_k; ++j) {
        for (std::int64_t h = 0; h < p.num_heads_kv; ++h) {
          const std::int64_t row = (b * p.seqlen_k + j) * p.num_heads_kv + h;
          Real* key = keys.data() + key_block(p, b, h, j / kColumns) + j % kColumns;
          for (int d = 0; d < p.head_dim_qk; ++d) {
            key[d * kColumns] = to_float(p.key[row * p.head_dim_qk + d], p.dtype);
          }
          Real* value = values.data() + value_row(p, b, h, j);
          for (int d = 0; d < p.head_dim_v; ++d) value[d] = to_float(p.value[row * p.head_dim_v + d], p.dtype);
        }
      }
    }
  }
  std::size_t key_block(const ForwardProblem& p, std::int64_t b, std::int64_t h, std::int64_t block) const {
    return ((b * p.num_heads_kv + h) * blocks + block) * p.head_dim_qk * kColumns;
  }
  std::size_t value_row(const ForwardProblem& p, std::int64_t b, std::int64_t h, std::int64_t j) const {
    return ((b * p.num_heads_kv + h) * blocks * kColumns + j) * padded_v;
  }
};

/// The rows that one task works on.
struct RowGroup {
  int batch, head, first, count;
};

/// Scores, probabilities and outputs of one row group, in the arithmetic's type.
template <typename Real>
class RowGroupWork {
 public:
  RowGroupWork(const ForwardProblem& problem, const Converted<Real>& converted)
      : p_(problem), converted_(converted), stride_(static_cast<std::int64_t>(converted.blocks) * kColumns) {
    query_.resize(static_cast<std::size_t>(kRows) * p_.head_dim_qk);
    scores_.resize(static_cast<std::size_t>(kRows) * stride_);
    output_.resize(static_cast<std::size_t>(kRows) * converted.padded_v);
    live_.resize(converted.blocks);
  }

  /// Scores of visible pairs, scaled; -inf for the others.
  void compute_scores(const RowGroup& g) {
    constexpr Real kMasked = -std::numeric_limits<Real>::infinity();
    const Real scale = p_.softmax_scale;
    const int head_kv = g.head / (p_.num_heads_q / p_.num_heads_kv);
    std::fill(query_.begin(), query_.end(), Real{0});
    for (int r = 0; r < g.count; ++r) {
      const std::int64_t row = (std::int64_t{g.batch} * p_.seqlen_q + g.first + r) * p_.num_heads_q + g.head;
      for (int d = 0; d < p_.head_dim_qk; ++d) {
        query_[r * p_.head_dim_qk + d] = to_float(p_.query[row * p_.head_dim_qk + d], p_.dtype);
      }
    }
    std::fill(scores_.begin(), scores_.end(), Real{0});
    for (int block = 0; block < converted_.blocks; ++block) {
      bool visible[kRows][kColumns] = {};
      live_[block] = 0;
      const int columns = std::min(kColumns, p_.seqlen_k - block * kColumns);
      for (int r = 0; r < g.count; ++r) {
        for (int x = 0; x < columns; ++x) {
          visible[r][x] = is_visible(p_, g.batch, g.head, g.first + r, block * kColumns + x);
          live_[block] |= visible[r][x];
        }
      }
      Real* scores = scores_.data() + block * kColumns;
      if (live_[block]) {
        multiply_accumulate(scores, stride_, query_.data(), p_.head_dim_qk,
                            converted_.keys.data() + converted_.key_block(p_, g.batch, head_kv, block), kColumns,
                            p_.head_dim_qk, kColumns);
      }
      for (int r = 0; r < kRows; ++r) {
        for (int x = 0; x < kColumns; ++x) {
          Real& score = scores[r * stride_ + x];
          score = visible[r][x] ? score * scale : kMasked;
        }
      }
    }
  }

  /// Turns row r of the scores into exp(score - max), 0 where masked, and returns their sum; 0 for a row that sees no
  /// key.
  Real exponentials(int r, Real& max) {
    Real* row = scores_.data() + r * stride_;
    max = *std::max_element(row, row + stride_);
    Real sum = 0;
    for (std::int64_t j = 0; j < stride_; ++j) {
      row[j] = std::isinf(row[j]) && row[j] < 0 ? Real{0} : std::exp(row[j] - max);
      sum += row[j];
    }
    return sum;
  }

  void multiply_values(const RowGroup& g) {
    const int head_kv = g.head / (p_.num_heads_q / p_.num_heads_kv);
    std::fill(output_.begin(), output_.end(), Real{0});
    for (int block = 0; block < converted_.blocks; ++block) {
      if (!live_[block]) continue;
      multiply_accumulate(output_.data(), converted_.padded_v, scores_.data() + block * kColumns, stride_,
                          converted_.values.data() + converted_.value_row(p_, g.batch, head_kv, block * kColumns),
                          converted_.padded_v, kColumns, converted_.padded_v);
    }
  }

  Real* row(int r) { return scores_.data() + r * stride_; }
  std::int64_t row_length() const { return stride_; }
  const Real* output(int r) const { return output_.data() + static_cast<std::int64_t>(r) * converted_.padded_v; }

 private:
  const ForwardProblem& p_;
  const Converted<Real>& converted_;
  std::int64_t stride_;
  std::vector<Real> query_, scores_, output_;
  std::vector<char> live_;  ///< per key block: whether any row of the group sees any key of it
};

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
