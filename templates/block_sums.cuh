#pragma once

#include "accumulator_tile.cuh"
#include "config.cuh"
#include "head_rows.cuh"
#include "primitives/global_memory.cuh"

namespace flashmask {

/// A tile of fp32 sums in global memory, kColumns wide, in the order in which warps hold accumulators: blocks of 16
/// rows by 8 columns, row by row of blocks. A warp reaches whole lines of it, which rows would not give.
template <int kColumns>
class BlockSums {
 public:
  static constexpr int kBlocks = kColumns / 8;  // of a row of blocks

  /// `tile`: the first element of the tile.
  __device__ __forceinline__ BlockSums(float* tile, int lane)
      : lane_(tile + lane * (config::kHasVectorReductions ? 4 : 1)) {}

  /// Adds an accumulator: in turn with other CTAs, or whoever else adds to the block at the same time.
  __device__ __forceinline__ void add(int row_block, int column_block, const Accumulator& value) const {
    float* block = at(row_block, column_block);
    if constexpr (config::kHasVectorReductions) {
      reduce_add<config::kDeterministic>(block, value.at);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) reduce_add<config::kDeterministic>(block + 32 * i, value.at[i]);
    }
  }
  __device__ __forceinline__ void store(int row_block, int column_block, const Accumulator& value) const {
    float* block = at(row_block, column_block);
#pragma unroll
    for (int i = 0; i < 4; ++i) block[element(i)] = value.at[i];
  }
  __device__ __forceinline__ Accumulator load(int row_block, int column_block) const {
    const float* block = at(row_block, column_block);
    Accumulator value;
#pragma unroll
    for (int i = 0; i < 4; ++i) value.at[i] = block[element(i)];
    return value;
  }

 private:
  __device__ __forceinline__ float* at(int row_block, int column_block) const {
    return lane_ + (row_block * kBlocks + column_block) * 128;
  }
  static constexpr __device__ __forceinline__ int element(int i) { return config::kHasVectorReductions ? i : 32 * i; }

  float* lane_;
};

/// Transposes the 4 x 4 words of the four lanes that hold a row of an accumulator: word i of lane j goes to word j of
/// lane i.
__device__ __forceinline__ void transpose_quad(unsigned (&words)[4], int lane) {
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    const bool upper = (lane & distance) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & distance) != 0) continue;
      unsigned& low = words[i];
      unsigned& high = words[i + distance];
      const unsigned received = __shfl_xor_sync(0xffffffffu, upper ? low : high, distance);
      if (upper) {
        low = received;
      } else {
        high = received;
      }
    }
  }
}

/// Rows of a tensor that a warp's accumulators are written to.
struct RowsOut {
  char* base;  // of the first row
  long long row_bytes;
  int rows;  // how many there are from the first one on

  /// Writes 16 x 16 elements from `row` and `column` on: two accumulators side by side, scaled and rounded. Rows past
  /// the end and columns from `width` on are left out.
  __device__ __forceinline__ void store(int row, int column, int width, const Accumulator& left,
                                        const Accumulator& right, float scale, int lane) const {
    unsigned words[4] = {pack(left.at[0] * scale, left.at[1] * scale), pack(left.at[2] * scale, left.at[3] * scale),
                         pack(right.at[0] * scale, right.at[1] * scale),
                         pack(right.at[2] * scale, right.at[3] * scale)};
    transpose_quad(words, lane);
    // The lane now has eight neighbours of a row: of the upper or lower half, left or right.
    const int own_row = row + lane / 4 + lane % 2 * 8;
    const int own_column = column + lane % 4 / 2 * 8;
    if (own_row < rows && own_column < width)
      *reinterpret_cast<uint4*>(base + own_row * row_bytes + own_column * 2) =
          make_uint4(words[0], words[1], words[2], words[3]);
  }
};

/// The rows of a head from `first` on, of `seqlen`.
__device__ __forceinline__ RowsOut rows_out(void* data, const RowStrides& strides, int batch, int head, int first,
                                            int seqlen) {
  return {head_rows(data, strides, batch, head) + 2 * first * strides.seqlen, 2 * strides.seqlen, seqlen - first};
}

}  // namespace flashmask
