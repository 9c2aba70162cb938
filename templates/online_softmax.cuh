#pragma once

#include "accumulator_tile.cuh"
#include "primitives/math.cuh"

namespace flashmask {

/// The running maximum and sum of a lane's rows, kept in base 2: P = 2^(score * scale_log2 - shift). The sum is this
/// lane's share of the row; the quad adds up at the end.
///
/// The shift is the maximum of score * scale_log2, or up to kSlack less: P then grows to 2^kSlack, harmless while
/// values stay below 2^119, and the output is rescaled in few tiles instead of in all of them.
template <int kRowBlocks>
struct OnlineSoftmax {
  static constexpr float kSlack = 8.0f;
  /// Of a row that has seen no key: finite, so that P of a masked score is 2^-inf = 0 and never NaN.
  static constexpr float kUnseen = -kLargestFloat;

  float shift[kRowBlocks][2];
  float sum[kRowBlocks][2];
  float scale_log2;

  __device__ __forceinline__ explicit OnlineSoftmax(float softmax_scale_log2) : scale_log2(softmax_scale_log2) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        shift[m][half] = kUnseen;
        sum[m][half] = 0.0f;
      }
  }

  /// Turns the scores of the next keys into P; rescales the output where a maximum has grown too much.
  template <int kKeyBlocks, int kValueBlocks>
  __device__ __forceinline__ void absorb(AccumulatorTile<kRowBlocks, kKeyBlocks>& scores,
                                         AccumulatorTile<kRowBlocks, kValueBlocks>& output) {
    float highest[kRowBlocks][2];
    bool some_outgrow = false;
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        highest[m][half] = highest_of_row(scores, m, half);
        some_outgrow = some_outgrow || outgrows(highest[m][half], shift[m][half]);
      }
    if (__any_sync(0xffffffffu, some_outgrow)) rescale(highest, output);
    exponentiate(scores);
  }

  // The same in three steps, for those whose output must not be touched while the scores are turned into P.

  /// What the rows' outputs have to be multiplied by.
  struct Growth {
    float factor[kRowBlocks][2];
    bool some_grow;  // of the warp
  };
  /// Raises the shifts and sums to the scores of the next keys.
  template <int kKeyBlocks>
  __device__ __forceinline__ Growth raise(const AccumulatorTile<kRowBlocks, kKeyBlocks>& scores) {
    Growth growth;
    bool some_outgrow = false;
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float highest = highest_of_row(scores, m, half);
        const bool grows = outgrows(highest, shift[m][half]);
        const float raised = grows ? highest * scale_log2 : shift[m][half];
        growth.factor[m][half] = exp2_approx(shift[m][half] - raised);
        shift[m][half] = raised;
        sum[m][half] *= growth.factor[m][half];
        some_outgrow = some_outgrow || grows;
      }
    growth.some_grow = __any_sync(0xffffffffu, some_outgrow);
    return growth;
  }
  /// Turns the scores into P.
  template <int kKeyBlocks>
  __device__ __forceinline__ void exponentiate(AccumulatorTile<kRowBlocks, kKeyBlocks>& scores) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (Accumulator& block : scores.block[m])
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            block.at[i] = exp2_approx(__fmaf_rn(block.at[i], scale_log2, -shift[m][half]));
            sum[m][half] += block.at[i];
          }
  }
  template <int kValueBlocks>
  static __device__ __forceinline__ void rescale(AccumulatorTile<kRowBlocks, kValueBlocks>& output,
                                                 const Growth& growth) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (Accumulator& block : output.block[m])
#pragma unroll
        for (int i = 0; i < 4; ++i) block.at[i] *= growth.factor[m][i / 2];
  }

  struct Total {
    float inverse;  // 1 / sum; 0 for a row that saw no key
    float lse;      // natural log; -inf for a row that saw no key
  };
  __device__ __forceinline__ Total total(int m, int half) const {
    const float row_sum = quad_sum(sum[m][half]);
    // P of the highest score is at least 1, and so is the sum of a row that saw a key.
    if (row_sum == 0.0f) return {0.0f, -kInfinity};
    return {reciprocal_approx(row_sum), (shift[m][half] + log2_approx(row_sum)) * kLn2};
  }

 private:
  template <int kKeyBlocks>
  static __device__ __forceinline__ float highest_of_row(const AccumulatorTile<kRowBlocks, kKeyBlocks>& scores, int m,
                                                         int half) {
    float highest = -kInfinity;
#pragma unroll
    for (const Accumulator& block : scores.block[m])
      highest = fmaxf(highest, fmaxf(block.at[2 * half], block.at[2 * half + 1]));
    return quad_max(highest);
  }

  __device__ __forceinline__ bool outgrows(float highest_score, float old_shift) const {
    return __fmaf_rn(highest_score, scale_log2, -old_shift) > kSlack;
  }

  /// Raises the shifts of the rows that need it to their highest scores. The others keep theirs: what comes out of a
  /// row must not hang on its neighbours.
  template <int kValueBlocks>
  __device__ __forceinline__ void rescale(const float (&highest)[kRowBlocks][2],
                                          AccumulatorTile<kRowBlocks, kValueBlocks>& output) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float raised =
            outgrows(highest[m][half], shift[m][half]) ? highest[m][half] * scale_log2 : shift[m][half];
        const float factor = exp2_approx(shift[m][half] - raised);
        shift[m][half] = raised;
        sum[m][half] *= factor;
#pragma unroll
        for (Accumulator& block : output.block[m])
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) block.at[i] *= factor;
      }
  }
};

}  // namespace flashmask
