#pragma once

#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form C2: a key is hidden from the rows [LTS, LTE).
struct ColumnMask {
  static constexpr int kVectors = 2;
  static constexpr int kIntervals = 1;
  static constexpr int kBounded = 1;  // of the intervals, the first ones: those with two ends
  static constexpr int kTests = 1;    // of an element
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }
  /// The same from global memory; `bounds` are those of column 0.
  __device__ __forceinline__ void read(const int* bounds, int column) {
    load_global(at, bounds + static_cast<long long>(column) * kVectors);
  }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int) const { return at[0]; }
  __device__ __forceinline__ int end(int) const { return at[1]; }

  /// Whether element test t of the column at this address may hide one of the rows first_row … last_row; exact but for
  /// intervals that are empty.
  static __device__ __forceinline__ bool test_hides_any(unsigned address, int, int first_row, int last_row) {
    ColumnMask column;
    column.load(address);
    return last_row >= column.at[0] && first_row < column.at[1];
  }

  /// The interval of an even column and the next, read at once.
  struct Pair {
    int at[4];
    __device__ __forceinline__ Pair(unsigned address, int) { load_shared(at, address); }
    __device__ __forceinline__ bool hides(int right, int row) const {
      return row >= at[2 * right] && row < at[2 * right + 1];
    }
  };
};

}  // namespace flashmask
