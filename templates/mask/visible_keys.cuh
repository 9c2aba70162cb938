#pragma once

#include "accumulator_tile.cuh"
#include "mask/rows_all.cuh"
#include "primitives/bits.cuh"
#include "primitives/math.cuh"

namespace flashmask {

/// The lane's keys, of kKeys from its first one on, that lie before `key`, as a bit for each: two of every eight.
/// Words of 32.
template <int kKeys>
struct KeyBits {
  static constexpr int kWords = (kKeys / 4 + 31) / 32;
  unsigned word[kWords];

  __device__ __forceinline__ KeyBits(int key, int first_own) {
    // Saturates at both ends: a row may see no key of the tile, or all.
    const int distance = min(max(key, first_own), first_own + kKeys) - first_own;
    const int count = distance / 8 * 2 + min(distance % 8, 2);
#pragma unroll
    for (int i = 0; i < kWords; ++i) word[i] = low_bits(min(max(count - 32 * i, 0), 32));
  }
};

/// Hides the keys that lie outside the range which the rows allow: the diagonal, the window, the end of the sequence.
/// The tile's keys begin at `first_key`; the lane has rows `first_lane_row` and the eighth after it.
template <int kColumnBlocks>
__device__ __forceinline__ void hide_by_row(AccumulatorTile<1, kColumnBlocks>& scores, const RowMask& row_mask,
                                            int first_lane_row, int first_key, int lane) {
  constexpr int kKeys = 8 * kColumnBlocks;
  const int first_own = first_key + lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const KeyRange keys = row_mask.keys_of_row(first_lane_row + 8 * half);
    KeyBits<kKeys> visible(keys.last + 1, first_own);
    if constexpr (RowMask::kHasFirst) {
      const KeyBits<kKeys> before(keys.first, first_own);
#pragma unroll
      for (int i = 0; i < KeyBits<kKeys>::kWords; ++i) visible.word[i] &= ~before.word[i];
    }
#pragma unroll
    for (int n = 0; n < kColumnBlocks; ++n)
#pragma unroll
      for (int right = 0; right < 2; ++right)
        if ((visible.word[n / 16] >> (n % 16 * 2 + right) & 1) == 0)
          scores.block[0][n].at[2 * half + right] = -kInfinity;
  }
}

}  // namespace flashmask
