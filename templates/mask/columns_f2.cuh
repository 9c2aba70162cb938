#pragma once

#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form F2: a key is hidden from the rows [LTS, Sq) and [0, UTE).
struct ColumnMask {
  static constexpr int kVectors = 2;
  static constexpr int kIntervals = 2;
  static constexpr int kBounded = 0;  // of the intervals, the first ones: those with two ends
  static constexpr int kTests = 1;    // of an element: the rows between the two see the key
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }
  /// The same from global memory; `bounds` are those of column 0.
  __device__ __forceinline__ void read(const int* bounds, int column) {
    load_global(at, bounds + static_cast<long long>(column) * kVectors);
  }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return i == 0 ? at[0] : 0; }
  __device__ __forceinline__ int end(int i) const { return i == 0 ? 0x7fffffff : at[1]; }

  /// Whether element test t of the column at this address may hide one of the rows first_row … last_row; exact but for
  /// intervals that are empty.
  static __device__ __forceinline__ bool test_hides_any(unsigned address, int, int first_row, int last_row) {
    ColumnMask column;
    column.load(address);
    return last_row >= column.at[0] || first_row < column.at[1];
  }

  /// An even column and the next, read at once.
  struct Pair {
    int at[4];
    __device__ __forceinline__ Pair(unsigned address, int) { load_shared(at, address); }
    __device__ __forceinline__ bool hides(int right, int row) const {
      return !(row >= at[2 * right + 1] && row < at[2 * right]);
    }
  };
};

}  // namespace flashmask
