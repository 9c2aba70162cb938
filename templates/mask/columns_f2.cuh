#pragma once

#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form F2: a key is hidden from the rows [LTS, Sq) and [0, UTE).
struct ColumnMask {
  static constexpr int kVectors = 2;
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }
  __device__ __forceinline__ bool hides(int row) const { return row >= at[0] || row < at[1]; }
};

}  // namespace flashmask
