#pragma once

#include "mask/key_range.cuh"

namespace flashmask {

/// Without a diagonal every row sees every key, as far as rows alone decide.
struct RowMask {
  static constexpr bool kHasFirst = false;
  static constexpr bool kHasLast = false;
  int seqlen_k;

  template <class Arguments>
  __device__ __forceinline__ explicit RowMask(const Arguments& arguments) : seqlen_k(arguments.seqlen_k) {}
  __device__ __forceinline__ KeyRange keys_of_row(int) const { return {0, seqlen_k - 1}; }
  __device__ __forceinline__ RowRange rows_of_key(int) const { return {0, kNoLastRow}; }
};

}  // namespace flashmask
