#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "flashmask/reference.h"

namespace flashmask::reference {

// Attention in blocks, in double or float: what the forward and the gradients have in common.

inline constexpr int kRows = 16;  ///< query rows that one task holds
inline constexpr int kColumns =
    64;  ///< keys of a block: their transposed rows and the scores of a row group stay in L1

inline int blocks_of(int extent, int block) {
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

}  // namespace flashmask::reference
