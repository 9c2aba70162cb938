#pragma once

#include "mask/key_range.cuh"

namespace flashmask {

/// Row i sees the keys up to the diagonal, i + offset.
struct RowMask {
  static constexpr bool kHasFirst = false;
  static constexpr bool kHasLast = true;
  int seqlen_k;
  int offset;

  template <class Arguments>
  __device__ __forceinline__ explicit RowMask(const Arguments& arguments)
      : seqlen_k(arguments.seqlen_k), offset(arguments.diagonal_offset) {}
  __device__ __forceinline__ KeyRange keys_of_row(int row) const { return {0, min(row + offset, seqlen_k - 1)}; }
  __device__ __forceinline__ RowRange rows_of_key(int key) const { return {max(key - offset, 0), kNoLastRow}; }
};

}  // namespace flashmask
