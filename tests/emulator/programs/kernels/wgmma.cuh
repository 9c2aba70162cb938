// wgmma.mma_async for the widths that the programs use. An asm statement names its registers one by one, so the lists
// are put together from tens.
#pragma once

#include "program.cuh"

#define TEN(t) "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9"
#define FIRST_TEN "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9"
#define REGISTERS_8 "%0, %1, %2, %3"
#define REGISTERS_24 FIRST_TEN ", %10, %11"
#define REGISTERS_64 FIRST_TEN ", " TEN(1) ", " TEN(2) ", %30, %31"
#define REGISTERS_128 FIRST_TEN ", " TEN(1) ", " TEN(2) ", " TEN(3) ", " TEN(4) ", " TEN(5) ", %60, %61, %62, %63"
#define REGISTERS_256                                                                                                 \
  FIRST_TEN ", " TEN(1) ", " TEN(2) ", " TEN(3) ", " TEN(4) ", " TEN(5) ", " TEN(6) ", " TEN(7) ", " TEN(8) ", " TEN( \
      9) ", " TEN(10) ", " TEN(11) ", %120, %121, %122, %123, %124, %125, %126, %127"

#define SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SUMS_16(i) SUMS_4(i), SUMS_4(i + 4), SUMS_4(i + 8), SUMS_4(i + 12)
#define SUMS_8_WIDE SUMS_4(0)
#define SUMS_24_WIDE SUMS_4(0), SUMS_4(4), SUMS_4(8)
#define SUMS_64_WIDE SUMS_16(0), SUMS_16(16)
#define SUMS_128_WIDE SUMS_64_WIDE, SUMS_16(32), SUMS_16(48)
#define SUMS_256_WIDE SUMS_128_WIDE, SUMS_16(64), SUMS_16(80), SUMS_16(96), SUMS_16(112)

// a, b, scale, ta and tb are the numbers of the operands behind the sums.
#define WGMMA_SHARED(n, type, a, b, scale, ta, tb)                                                                \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #scale ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n           \
               "k16.f32." type "." type " {" REGISTERS_##n "}, %" #a ", %" #b ", p, 1, 1, %" #ta ", %" #tb ";\n}" \
               : SUMS_##n##_WIDE                                                                                  \
               : "l"(a_tile), "l"(b_tile), "r"(1), "n"(kMnA ? 1 : 0), "n"(kMnB ? 1 : 0)                           \
               : "memory")
#define WGMMA_REGISTERS(n, type, a0, a1, a2, a3, b, scale, tb)                                                 \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #scale ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n        \
               "k16.f32." type "." type " {" REGISTERS_##n "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b \
                                                           ", p, 1, 1, %" #tb ";\n}"                           \
               : SUMS_##n##_WIDE                                                                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b_tile), "r"(1), "n"(kMnB ? 1 : 0)            \
               : "memory")

enum Type { kF16, kBf16 };
using MatrixDescriptor = unsigned long long;

/// d += A B for a 64 x 16 slice of A and a 16 x kN slice of B, both in shared memory.
template <Type kType, int kN, bool kMnA, bool kMnB>
__device__ inline void multiply_shared(float (&d)[kN / 2], MatrixDescriptor a_tile, MatrixDescriptor b_tile) {
  if constexpr (kType == kF16) {
    if constexpr (kN == 8) WGMMA_SHARED(8, "f16", 4, 5, 6, 7, 8);
    if constexpr (kN == 24) WGMMA_SHARED(24, "f16", 12, 13, 14, 15, 16);
    if constexpr (kN == 64) WGMMA_SHARED(64, "f16", 32, 33, 34, 35, 36);
    if constexpr (kN == 128) WGMMA_SHARED(128, "f16", 64, 65, 66, 67, 68);
    if constexpr (kN == 256) WGMMA_SHARED(256, "f16", 128, 129, 130, 131, 132);
  } else {
    if constexpr (kN == 64) WGMMA_SHARED(64, "bf16", 32, 33, 34, 35, 36);
  }
}

/// The same with the slice of A in registers: lane 4g + t of warp w holds pairs of rows 16w + g and 16w + g + 8.
template <Type kType, int kN, bool kMnB>
__device__ inline void multiply_registers(float (&d)[kN / 2], const unsigned (&a)[4], MatrixDescriptor b_tile) {
  if constexpr (kType == kF16) {
    WGMMA_REGISTERS(64, "f16", 32, 33, 34, 35, 36, 37, 38);
  } else {
    WGMMA_REGISTERS(64, "bf16", 32, 33, 34, 35, 36, 37, 38);
  }
}

__device__ inline void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

/// Sums of lane 4g + t of warp w: rows 16w + g and 16w + g + 8, columns 8j + 2t and 8j + 2t + 1.
template <int kN, class Function>
__device__ inline void for_each_sum(Function function) {
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane / 4;
  for (unsigned i = 0; i < kN / 2; ++i) function(i, (row + i % 4 / 2 * 8) * kN + i / 4 * 8 + lane % 4 * 2 + i % 2);
}

/// How a tile of kRows x 64 halves lies in shared memory. kRows is M or N; kMn: neighbours in a row of memory differ in
/// m or n instead of k. kSpan: the span of the swizzle in bytes, 0 without.
template <int kRows, int kSpan, bool kMn>
struct TileLayout {
  static constexpr unsigned kDepth = 64;
  static constexpr unsigned kCode = kSpan == 128 ? 1 : kSpan == 64 ? 2 : kSpan == 32 ? 3 : 0;

  /// Bytes from a core matrix of 8 x 8 (or a column of spans) to the next along k (kLeading) and along the rows, or the
  /// other way round; the manual's table of strides says which is which for each mode.
  static constexpr unsigned kLeading = kSpan == 0 ? kRows * 16 : kMn ? kDepth * kSpan : 0;
  static constexpr unsigned kStride = kSpan == 0 ? 128 : 8 * kSpan;

  __device__ static unsigned swizzled(unsigned at) {
    constexpr unsigned kBits = kSpan == 128 ? 7 : kSpan == 64 ? 3 : kSpan == 32 ? 1 : 0;
    return at ^ ((at >> 7 & kBits) << 4);
  }
  /// The byte of the element in row `row` (of M or N) and column `k`.
  __device__ static unsigned offset(unsigned row, unsigned k) {
    if constexpr (kSpan == 0) {
      const unsigned core = row / 8 * kStride + k / 8 * kLeading;
      return core + (kMn ? k % 8 * 16 + row % 8 * 2 : row % 8 * 16 + k % 8 * 2);
    } else if constexpr (kMn) {
      return swizzled(2 * row / kSpan * kLeading + k / 8 * kStride + k % 8 * kSpan + 2 * row % kSpan);
    } else {
      return swizzled(2 * k / kSpan * (kRows * kSpan) + row * kSpan + 2 * k % kSpan);
    }
  }
  /// Where the slice of 16 columns from `k` on begins.
  __device__ static unsigned slice(unsigned k) {
    if constexpr (kSpan == 0) return k / 8 * kLeading;
    if constexpr (kMn) return k / 8 * kStride;
    return 2 * k / kSpan * (kRows * kSpan) + 2 * k % kSpan;
  }
  template <bool kWrong>
  __device__ static MatrixDescriptor descriptor(const void* tile, unsigned k) {
    const MatrixDescriptor start = (shared_address(tile) + slice(k)) >> 4;
    const MatrixDescriptor leading = (kWrong && kSpan == 0 ? kStride : kLeading) >> 4;
    const MatrixDescriptor stride = (kWrong && kSpan == 0 ? kLeading : kStride) >> 4;
    const MatrixDescriptor code = kWrong && kSpan != 0 ? kCode % 3 + 1 : kCode;
    return start | leading << 16 | stride << 32 | code << 62;
  }
};
