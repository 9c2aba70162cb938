#pragma once

#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form F2: a key is hidden from the rows [LTS, Sq) and [0, UTE).
struct ColumnMask {
  static constexpr int kVectors = 2;
  static constexpr int kIntervals = 2;
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return i == 0 ? at[0] : 0; }
  __device__ __forceinline__ int end(int i) const { return i == 0 ? 0x7fffffff : at[1]; }

  /// An even column and the next, read at once.
  struct Pair {
    int at[4];
    __device__ __forceinline__ Pair(unsigned address, int) { load_shared(at, address); }
    /// Whether interval i hides the row.
    __device__ __forceinline__ bool hides(int right, int i, int row) const {
      return i == 0 ? row >= at[2 * right] : row < at[2 * right + 1];
    }
  };
};

}  // namespace flashmask
