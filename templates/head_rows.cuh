#pragma once

#include "row_strides.cuh"

namespace flashmask {

/// Where row 0 of a head begins.
__device__ __forceinline__ char* head_rows(const void* data, const RowStrides& strides, int batch, int head) {
  return static_cast<char*>(const_cast<void*>(data)) + 2 * (batch * strides.batch + head * strides.head);
}

/// From row to row of one head. A launch is refused where it would not fit.
__device__ __forceinline__ int row_bytes(const RowStrides& strides) {
  return 2 * static_cast<int>(strides.seqlen);
}

}  // namespace flashmask
