#pragma once

#include "primitives/math.cuh"
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

/// The running maximum and sum of a lane's rows, kept in base 2: P = 2^((score - maximum) * scale_log2). The sum is
/// this lane's share of the row; the quad adds up at the end.
template <int kRowBlocks>
struct OnlineSoftmax {
  float maximum[kRowBlocks][2];
  float sum[kRowBlocks][2];
  float scale_log2;

  __device__ __forceinline__ explicit OnlineSoftmax(float softmax_scale_log2) : scale_log2(softmax_scale_log2) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        maximum[m][half] = -kInfinity;
        sum[m][half] = 0.0f;
      }
  }

  /// Turns the scores of the next keys into P, and rescales the output to the new maximum.
  template <int kKeyBlocks, int kValueBlocks>
  __device__ __forceinline__ void absorb(AccumulatorTile<kRowBlocks, kKeyBlocks>& scores,
                                         AccumulatorTile<kRowBlocks, kValueBlocks>& output) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float highest = maximum[m][half];
#pragma unroll
        for (const Accumulator& block : scores.block[m])
          highest = fmaxf(highest, fmaxf(block.at[2 * half], block.at[2 * half + 1]));
        highest = quad_max(highest);

        // A row that has seen no key yet has the maximum -inf; 0 in its place keeps P = 2^-inf = 0 and is never NaN.
        const float shift = highest == -kInfinity ? 0.0f : highest * scale_log2;
        const float rescale = exp2_approx(maximum[m][half] * scale_log2 - shift);
        maximum[m][half] = highest;
        float row_sum = sum[m][half] * rescale;
#pragma unroll
        for (Accumulator& block : scores.block[m])
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            block.at[i] = exp2_approx(__fmaf_rn(block.at[i], scale_log2, -shift));
            row_sum += block.at[i];
          }
        sum[m][half] = row_sum;
#pragma unroll
        for (Accumulator& block : output.block[m])
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) block.at[i] *= rescale;
      }
  }

  struct Total {
    float inverse;  // 1 / sum; 0 for a row that saw no key
    float lse;      // natural log; -inf for a row that saw no key
  };
  __device__ __forceinline__ Total total(int m, int half) const {
    const float row_sum = quad_sum(sum[m][half]);
    // P of the maximum itself is 1, so the sum of a row that saw a key is at least 1.
    if (row_sum == 0.0f) return {0.0f, -kInfinity};
    return {reciprocal_approx(row_sum), (maximum[m][half] * scale_log2 + log2_approx(row_sum)) * kLn2};
  }
};

}  // namespace flashmask
