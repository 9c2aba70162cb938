#pragma once

#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form F4: a key is hidden from the rows [LTS, LTE) and [UTS, UTE), in any order.
struct ColumnMask {
  static constexpr int kVectors = 4;
  static constexpr int kIntervals = 2;
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return at[2 * i]; }
  __device__ __forceinline__ int end(int i) const { return at[2 * i + 1]; }

  /// Interval i of an even column and of the next.
  struct Pair {
    int left[2];
    int next[2];
    __device__ __forceinline__ Pair(unsigned address, int i) {
      load_shared(left, address + 8 * i);
      load_shared(next, address + 16 + 8 * i);
    }
    __device__ __forceinline__ bool hides(int right, int, int row) const {
      return right == 0 ? row >= left[0] && row < left[1] : row >= next[0] && row < next[1];
    }
  };
};

}  // namespace flashmask
