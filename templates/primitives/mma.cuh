#pragma once

#include "config.cuh"

namespace flashmask {

// mma.sync.m16n8k16 of 16-bit floats with fp32 accumulators: one warp multiplies A (16 x 16) by B (16 x 8).
// g = lane / 4, t = lane % 4; a register holds two neighbours along K (A, B).
//
//        A: columns (K)                    B: columns (N)          C: columns (N)
//         2t, 2t+1    2t+8, 2t+9            g                       2t, 2t+1
//   g     reg[0]      reg[2]         2t,+1  reg[0]            g     at[0], at[1]
//   g+8   reg[1]      reg[3]         2t+8,+9 reg[1]           g+8   at[2], at[3]
//
// Two accumulators side by side (N = 16) rounded to 16 bits are therefore an A operand of the next product, K = 16:
// reg[0] = left at[0..1], reg[1] = left at[2..3], reg[2] = right at[0..1], reg[3] = right at[2..3].

struct OperandA {
  unsigned reg[4];
};

struct OperandB {
  unsigned reg[2];
};

struct Accumulator {
  float at[4];
};

/// c += a * b
__device__ __forceinline__ void multiply_accumulate(Accumulator& c, const OperandA& a, const OperandB& b) {
  if constexpr (config::kIsBfloat16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
        : "r"(a.reg[0]), "r"(a.reg[1]), "r"(a.reg[2]), "r"(a.reg[3]), "r"(b.reg[0]), "r"(b.reg[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
        : "r"(a.reg[0]), "r"(a.reg[1]), "r"(a.reg[2]), "r"(a.reg[3]), "r"(b.reg[0]), "r"(b.reg[1]));
  }
}

/// Rounds two floats to the element type, `low` in the lower half.
__device__ __forceinline__ unsigned pack(float low, float high) {
  unsigned packed;
  if constexpr (config::kIsBfloat16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  }
  return packed;
}

/// The two elements of a word, the lower half first.
__device__ __forceinline__ float2 unpack(unsigned packed) {
  if constexpr (config::kIsBfloat16)
    return make_float2(__uint_as_float(packed << 16), __uint_as_float(packed & 0xffff0000u));
  float2 unpacked;
  asm("{\n"
      ".reg .b16 low, high;\n"
      "mov.b32 {low, high}, %2;\n"
      "cvt.f32.f16 %0, low;\n"
      "cvt.f32.f16 %1, high;\n"
      "}"
      : "=f"(unpacked.x), "=f"(unpacked.y)
      : "r"(packed));
  return unpacked;
}

}  // namespace flashmask
