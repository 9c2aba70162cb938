#pragma once

#include "mask/key_range.cuh"

namespace flashmask {

/// Row i sees the keys from i + offset - left to i + offset + right; -1 is no bound. Written so that no sum overflows.
struct RowMask {
  static constexpr bool kHasFirst = true;
  static constexpr bool kHasLast = true;
  int seqlen_k;
  int offset;
  int left;
  int right;

  template <class Arguments>
  __device__ __forceinline__ explicit RowMask(const Arguments& arguments)
      : seqlen_k(arguments.seqlen_k),
        offset(arguments.diagonal_offset),
        left(arguments.window_left),
        right(arguments.window_right) {}
  __device__ __forceinline__ KeyRange keys_of_row(int row) const {
    const int diagonal = row + offset;
    const int first = left < 0 || left >= diagonal ? 0 : diagonal - left;
    const int last = right < 0 || right >= seqlen_k - 1 - diagonal ? seqlen_k - 1 : diagonal + right;
    return {first, last};
  }
  __device__ __forceinline__ RowRange rows_of_key(int key) const {
    const int diagonal = key - offset;
    return {right < 0 ? 0 : max(diagonal - right, 0), left < 0 ? kNoLastRow : diagonal + left};
  }
};

}  // namespace flashmask
