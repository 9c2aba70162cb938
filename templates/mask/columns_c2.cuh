#pragma once

#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form C2: a key is hidden from the rows [LTS, LTE).
struct ColumnMask {
  static constexpr int kVectors = 2;
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }
  __device__ __forceinline__ bool hides(int row) const { return row >= at[0] && row < at[1]; }
};

}  // namespace flashmask
