#pragma once

namespace flashmask {

/// The lowest `count` bits, 0 to 32.
__device__ __forceinline__ unsigned low_bits(int count) {
  unsigned bit;
  // In PTX, other than in C++, shifting by 32 leaves 0.
  asm("shl.b32 %0, 1, %1;" : "=r"(bit) : "r"(count));
  return bit - 1;
}

}  // namespace flashmask
