#pragma once

#include "primitives/mma.cuh"

namespace flashmask {

/// A warp's block of accumulators: kRowBlocks of 16 rows by kColumnBlocks of 8 columns. Of block (m, n) the lane holds
/// rows 16 m + lane / 4 (+ 8) and columns 8 n + 2 (lane % 4) (+ 1).
template <int kRowBlocks, int kColumnBlocks>
struct AccumulatorTile {
  Accumulator block[kRowBlocks][kColumnBlocks];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (auto& row : block)
#pragma unroll
      for (auto& accumulator : row)
#pragma unroll
        for (float& x : accumulator.at) x = 0.0f;
  }
};

}  // namespace flashmask
