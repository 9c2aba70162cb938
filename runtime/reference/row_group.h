#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "flashmask/reference.h"
#include "runtime/reference/blocked_product.h"

namespace flashmask::reference {

/// Up to kGroupRows query rows of one head: first .. first + count - 1.
struct RowGroup {
  int batch, head, head_kv, first, count;

  /// Number of the group's row r in a packed tensor [batch, seqlen_q, num_heads_q, …].
  std::int64_t packed_row(const ForwardProblem& p, int r) const {
    return (std::int64_t{batch} * p.seqlen_q + first + r) * p.num_heads_q + head;
  }
  /// Number of the group's row r in [batch, num_heads_q, seqlen_q].
  std::int64_t lse_row(const ForwardProblem& p, int r) const {
    return (std::int64_t{batch} * p.num_heads_q + head) * p.seqlen_q + first + r;
  }
};

inline std::int64_t row_groups_per_head(const ForwardProblem& p) {
  return blocks_of(p.seqlen_q, kGroupRows);
}

/// Row group number `index` of the batch * num_heads_q * row_groups_per_head() ones, heads of one KV head side by side.
inline RowGroup row_group(const ForwardProblem& p, std::int64_t index) {
  const std::int64_t groups = row_groups_per_head(p);
  const int first = static_cast<int>(index % groups) * kGroupRows;
  const int head = static_cast<int>(index / groups % p.num_heads_q);
  return {.batch = static_cast<int>(index / groups / p.num_heads_q),
          .head = head,
          .head_kv = head / (p.num_heads_q / p.num_heads_kv),
          .first = first,
          .count = std::min(kGroupRows, p.seqlen_q - first)};
}

/// Rows of a group in the arithmetic's type, [kGroupRows, padded(head_dim)], zero where there is nothing.
template <typename Real>
class GroupRows {
 public:
  explicit GroupRows(int head_dim)
      : head_dim_(head_dim), stride_(padded(head_dim)), elements_(static_cast<std::size_t>(kGroupRows) * stride_) {}

  /// Takes the group's rows of a packed tensor [batch, seqlen_q, num_heads_q, head_dim].
  void load(const ForwardProblem& p, const RowGroup& g, std::span<const std::uint16_t> tensor) {
    clear();
    for (int r = 0; r < g.count; ++r) {
      const std::uint16_t* from = tensor.data() + g.packed_row(p, r) * head_dim_;
      for (int d = 0; d < head_dim_; ++d) row(r)[d] = to_float(from[d], p.dtype);
    }
  }
  void clear() { std::fill(elements_.begin(), elements_.end(), Real{0}); }
  Real* row(int r) { return elements_.data() + std::int64_t{r} * stride_; }
  const Real* row(int r) const { return elements_.data() + std::int64_t{r} * stride_; }
  int stride() const { return stride_; }
  LeftFactor<Real> as_left_factor() const { return {elements_.data(), stride_}; }

 private:
  int head_dim_;
  int stride_;
  std::vector<Real> elements_;
};

/// One number for each row of a group and each key, [kGroupRows, blocks * kBlockKeys].
template <typename Real>
class GroupPairs {
 public:
  explicit GroupPairs(int blocks)
      : stride_(std::int64_t{blocks} * kBlockKeys), elements_(static_cast<std::size_t>(kGroupRows * stride_)) {}

  Real* row(int r) { return elements_.data() + r * stride_; }
  std::span<Real> all() { return elements_; }
  Real* block(int index) { return elements_.data() + std::int64_t{index} * kBlockKeys; }
  /// Row length, padding keys included.
  std::int64_t stride() const { return stride_; }
  LeftFactor<Real> as_left_factor(int block) const {
    return {elements_.data() + std::int64_t{block} * kBlockKeys, stride_};
  }
  /// The block with keys as rows, over the rows of the group.
  LeftFactor<Real> as_transposed_left_factor(int block) const {
    return {elements_.data() + std::int64_t{block} * kBlockKeys, 1, stride_};
  }

 private:
  std::int64_t stride_;
  std::vector<Real> elements_;
};

/// Scores of one row group after another, and which blocks of keys count for them.
template <typename Real>
class RowGroupScores {
 public:
  /// `keys` are transposed; both outlive the object.
  RowGroupScores(const ForwardProblem& problem, const KeyBlocks<Real>& keys)
      : p_(problem), keys_(keys), query_(problem.head_dim_qk), scores_(keys.blocks()), live_(keys.blocks()) {}

  /// Scores of visible pairs, scaled; -inf for the others, and in rows beyond the group.
  void compute(const RowGroup& g) {
    constexpr Real kMasked = -std::numeric_limits<Real>::infinity();
    const Real scale = p_.softmax_scale;
    query_.load(p_, g, p_.query);
    std::ranges::fill(scores_.all(), Real{0});
    for (int block = 0; block < keys_.blocks(); ++block) {
      bool visible[kGroupRows][kBlockKeys] = {};
      live_[block] = 0;
      const int columns = std::min(kBlockKeys, p_.seqlen_k - block * kBlockKeys);
      for (int r = 0; r < g.count; ++r) {
        for (int x = 0; x < columns; ++x) {
          visible[r][x] = is_visible(p_, g.batch, g.head, g.first + r, block * kBlockKeys + x);
          live_[block] |= visible[r][x];
        }
      }
      Real* scores = scores_.block(block);
      if (live_[block]) {
        multiply_accumulate(scores, scores_.stride(), query_.as_left_factor(), keys_.block(g.batch, g.head_kv, block),
                            keys_.stride(), kGroupRows, p_.head_dim_qk, kBlockKeys);
      }
      for (int r = 0; r < kGroupRows; ++r) {
        for (int x = 0; x < kBlockKeys; ++x) {
          Real& score = scores[r * scores_.stride() + x];
          score = visible[r][x] ? score * scale : kMasked;
        }
      }
    }
  }

  /// Turns row r of the scores into exp(score - max), 0 where masked, and returns their sum; 0 for a row that sees no
  /// key.
  Real exponentials(int r, Real& max) {
    Real* row = scores_.row(r);
    max = *std::max_element(row, row + scores_.stride());
    Real sum = 0;
    for (std::int64_t j = 0; j < scores_.stride(); ++j) {
      row[j] = std::isinf(row[j]) && row[j] < 0 ? Real{0} : std::exp(row[j] - max);
      sum += row[j];
    }
    return sum;
  }

  /// Whether any row of the group sees any key of the block.
  bool is_live(int block) const { return live_[block]; }
  int blocks() const { return keys_.blocks(); }
  const GroupRows<Real>& query() const { return query_; }
  GroupPairs<Real>& pairs() { return scores_; }

  /// product = pairs · keys over the live blocks; `keys` in rows.
  void multiply(const RowGroup& g, const GroupPairs<Real>& pairs, const KeyBlocks<Real>& keys,
                GroupRows<Real>& product) const {
    product.clear();
    for (int block = 0; block < blocks(); ++block) {
      if (!is_live(block)) continue;
      multiply_accumulate(product.row(0), product.stride(), pairs.as_left_factor(block),
                          keys.block(g.batch, g.head_kv, block), keys.stride(), kGroupRows, kBlockKeys,
                          product.stride());
    }
  }

 private:
  const ForwardProblem& p_;
  const KeyBlocks<Real>& keys_;
  GroupRows<Real> query_;
  GroupPairs<Real> scores_;
  std::vector<char> live_;  ///< per key block
};

}  // namespace flashmask::reference
