#pragma once

namespace flashmask {

/// No key column hides a row.
struct ColumnMask {
  static constexpr int kVectors = 0;
  static constexpr int kIntervals = 0;
  static constexpr int kBounded = 0;  // of the intervals, the first ones: those with two ends
  static constexpr int kTests = 0;
  __device__ __forceinline__ void load(unsigned) {}
  __device__ __forceinline__ void read(const int*, int) {}
  __device__ __forceinline__ int start(int) const { return 0; }
  __device__ __forceinline__ int end(int) const { return 0; }
  static __device__ __forceinline__ bool test_hides_any(unsigned, int, int, int) { return false; }

  struct Pair {
    __device__ __forceinline__ Pair(unsigned, int) {}
    __device__ __forceinline__ bool hides(int, int) const { return false; }
  };
};

}  // namespace flashmask
