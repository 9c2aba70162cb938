#pragma once

namespace flashmask {

/// No key column hides a row.
struct ColumnMask {
  static constexpr int kVectors = 0;
  static constexpr int kIntervals = 0;
  __device__ __forceinline__ void load(unsigned) {}
  __device__ __forceinline__ bool hides(int) const { return false; }
  __device__ __forceinline__ bool hides_any(int, int) const { return false; }

  struct Pair {
    __device__ __forceinline__ explicit Pair(unsigned) {}
    __device__ __forceinline__ ColumnMask column(int) const { return {}; }
  };
};

}  // namespace flashmask
