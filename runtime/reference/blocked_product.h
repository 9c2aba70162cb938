#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "flashmask/reference.h"

namespace flashmask::reference {

constexpr int kGroupRows = 16;  ///< query rows of a row group
constexpr int kBlockKeys = 64;  ///< keys of a block: their transposed rows and the scores of a row group stay in L1

/// Extents of a product are multiples of these: a few rows and columns of it stay in registers over its depth.
constexpr int kTileRows = 4;
constexpr int kTileColumns = 8;

constexpr int blocks_of(int extent, int block) {
  return (extent + block - 1) / block;
}

/// Stride of rows that are padded with zeros to whole tiles of a product.
constexpr int padded(int head_dim) {
  return blocks_of(head_dim, kTileColumns) * kTileColumns;
}

/// A of a product: element (row, k) lies at data[row * row_stride + k * depth_stride], so that A may be a matrix that
/// is stored transposed.
template <typename Real>
struct LeftFactor {
  const Real* data;
  std::int64_t row_stride;
  std::int64_t depth_stride = 1;
};

/// C[rows][columns] += A[rows][depth] · B[depth][columns], B and C row-major with their strides, `rows` a multiple of
/// kTileRows and `columns` of kTileColumns. The depth is summed in its order.
template <typename Real>
void multiply_accumulate(Real* c, std::int64_t c_stride, const LeftFactor<Real>& a, const Real* b,
                         std::int64_t b_stride, int rows, int depth, int columns) {
  // A type of the compilers, in registers on every x86-64: GCC 12 leaves the same loops over an array of floats almost
  // scalar, three times as slow.
  using Vector [[gnu::vector_size(16)]] = Real;
  constexpr int kLanes = sizeof(Vector) / sizeof(Real);
  constexpr int kVectors = 2;
  static_assert(kTileColumns % (kVectors * kLanes) == 0);
  for (int row = 0; row < rows; row += kTileRows) {
    for (int column = 0; column < columns; column += kVectors * kLanes) {
      Vector sum[kTileRows][kVectors] = {};
      for (int k = 0; k < depth; ++k) {
        Vector b_row[kVectors];
        std::memcpy(b_row, b + k * b_stride + column, sizeof b_row);
        for (int r = 0; r < kTileRows; ++r) {
          const Real factor = a.data[(row + r) * a.row_stride + k * a.depth_stride];
          for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * b_row[v];
        }
      }
      for (int r = 0; r < kTileRows; ++r) {
        Real* c_row = c + (row + r) * c_stride + column;
        for (int x = 0; x < kVectors * kLanes; ++x) c_row[x] += sum[r][x / kLanes][x % kLanes];
      }
    }
  }
}

/// How the keys of a block lie, so that it is the B of a product over the head dim, or of one over the keys.
enum class KeyOrder {
  kTransposed,  ///< [head_dim, kBlockKeys]
  kRows,        ///< [kBlockKeys, padded(head_dim)]
};

/// K or V in the arithmetic's type, converted once: [batch, num_heads_kv, blocks] blocks of kBlockKeys keys, padded
/// with zeros to whole blocks.
template <typename Real>
class KeyBlocks {
 public:
  /// `keys` is packed, [batch, seqlen_k, num_heads_kv, head_dim].
  KeyBlocks(const ForwardProblem& p, std::span<const std::uint16_t> keys, int head_dim, KeyOrder order)
      : heads_(p.num_heads_kv),
        blocks_(blocks_of(p.seqlen_k, kBlockKeys)),
        stride_(order == KeyOrder::kRows ? padded(head_dim) : kBlockKeys),
        block_elements_(std::int64_t{stride_} * (order == KeyOrder::kRows ? kBlockKeys : head_dim)),
        elements_(static_cast<std::size_t>(p.batch) * heads_ * blocks_ * block_elements_) {
    const std::int64_t key_stride = order == KeyOrder::kRows ? stride_ : 1;
    const std::int64_t dim_stride = order == KeyOrder::kRows ? 1 : stride_;
    for (std::int64_t b = 0; b < p.batch; ++b) {
      for (std::int64_t j = 0; j < p.seqlen_k; ++j) {
        for (int h = 0; h < heads_; ++h) {
          const std::uint16_t* key = keys.data() + ((b * p.seqlen_k + j) * heads_ + h) * head_dim;
          Real* out = elements_.data() + offset(b, h, j / kBlockKeys) + j % kBlockKeys * key_stride;
          for (int d = 0; d < head_dim; ++d) out[d * dim_stride] = to_float(key[d], p.dtype);
        }
      }
    }
  }

  int blocks() const { return blocks_; }  ///< of one head
  int stride() const { return stride_; }  ///< of the rows of a block
  const Real* block(int batch, int head_kv, int index) const {
    return elements_.data() + offset(batch, head_kv, index);
  }

 private:
  std::int64_t offset(std::int64_t batch, int head_kv, std::int64_t index) const {
    return ((batch * heads_ + head_kv) * blocks_ + index) * block_elements_;
  }

  int heads_;
  int blocks_;
  int stride_;
  std::int64_t block_elements_;
  std::vector<Real> elements_;
};

}  // namespace flashmask::reference
