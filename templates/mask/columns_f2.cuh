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
  __device__ __forceinline__ bool hides(int row) const { return !(row >= at[1] && row < at[0]); }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return i == 0 ? at[0] : 0; }
  __device__ __forceinline__ int end(int i) const { return i == 0 ? 0x7fffffff : at[1]; }

  /// Whether one of the rows first_row … last_row may be hidden; exact but for intervals that are empty.
  __device__ __forceinline__ bool hides_any(int first_row, int last_row) const {
    return last_row >= at[0] || first_row < at[1];
  }

  /// An even column and the next, read at once.
  struct Pair {
    int at[4];
    __device__ __forceinline__ explicit Pair(unsigned address) { load_shared(at, address); }
    __device__ __forceinline__ ColumnMask column(int right) const { return {{at[2 * right], at[2 * right + 1]}}; }
  };
};

}  // namespace flashmask
