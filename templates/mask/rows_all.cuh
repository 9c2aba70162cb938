#pragma once

#include "mask/key_range.cuh"

namespace flashmask {

/// Without a diagonal every row sees every key, as far as rows alone decide.
struct RowMask {
  static constexpr bool kHasFirst = false;
  static constexpr bool kHasLast = false;
  int seqlen_k;

  __device__ __forceinline__ explicit RowMask(const ForwardArguments& arguments) : seqlen_k(arguments.seqlen_k) {}
  __device__ __forceinline__ KeyRange keys_of_row(int) const { return {0, seqlen_k - 1}; }
};

}  // namespace flashmask
