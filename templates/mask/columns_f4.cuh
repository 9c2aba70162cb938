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
  __device__ __forceinline__ bool hides(int row) const {
    return (row >= at[0] && row < at[1]) || (row >= at[2] && row < at[3]);
  }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return at[2 * i]; }
  __device__ __forceinline__ int end(int i) const { return at[2 * i + 1]; }

  /// Whether one of the rows first_row … last_row may be hidden; exact but for intervals that are empty.
  __device__ __forceinline__ bool hides_any(int first_row, int last_row) const {
    return (last_row >= at[0] && first_row < at[1]) || (last_row >= at[2] && first_row < at[3]);
  }

  /// An even column and the next, each read when it is looked at: together they do not fit one access.
  struct Pair {
    unsigned address;
    __device__ __forceinline__ explicit Pair(unsigned first) : address(first) {}
    __device__ __forceinline__ ColumnMask column(int right) const {
      ColumnMask column;
      column.load(address + right * 16);
      return column;
    }
  };
};

}  // namespace flashmask
