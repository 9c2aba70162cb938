#pragma once

#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"

namespace flashmask {

/// Form F4: a key is hidden from the rows [LTS, LTE) and [UTS, UTE), in any order.
struct ColumnMask {
  static constexpr int kVectors = 4;
  static constexpr int kIntervals = 2;
  static constexpr int kBounded = 2;  // of the intervals, the first ones: those with two ends
  static constexpr int kTests = 2;    // of an element, one for each interval: most tiles are cut by one alone
  int at[kVectors];

  /// Reads the bounds of one column from shared memory.
  __device__ __forceinline__ void load(unsigned address) { load_shared(at, address); }
  /// The same from global memory; `bounds` are those of column 0.
  __device__ __forceinline__ void read(const int* bounds, int column) {
    load_global(at, bounds + static_cast<long long>(column) * kVectors);
  }

  /// Interval i of the hidden rows, [start, end): anything may reach beyond the rows or be empty.
  __device__ __forceinline__ int start(int i) const { return at[2 * i]; }
  __device__ __forceinline__ int end(int i) const { return at[2 * i + 1]; }

  /// Whether element test t of the column at this address may hide one of the rows first_row … last_row; exact but for
  /// intervals that are empty.
  static __device__ __forceinline__ bool test_hides_any(unsigned address, int t, int first_row, int last_row) {
    int interval[2];
    load_shared(interval, address + 8 * t);
    return last_row >= interval[0] && first_row < interval[1];
  }

  /// Interval t of an even column and of the next.
  struct Pair {
    int left[2];
    int next[2];
    __device__ __forceinline__ Pair(unsigned address, int t) {
      load_shared(left, address + 8 * t);
      load_shared(next, address + 16 + 8 * t);
    }
    __device__ __forceinline__ bool hides(int right, int row) const {
      return right == 0 ? row >= left[0] && row < left[1] : row >= next[0] && row < next[1];
    }
  };
};

}  // namespace flashmask
