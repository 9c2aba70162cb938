#pragma once

namespace flashmask {

// Pairs of fp16 numbers in a word. Integers up to 2048 are exact.

__device__ __forceinline__ unsigned half_pair(int low, int high) {
  unsigned pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(static_cast<float>(high)), "f"(static_cast<float>(low)));
  return pair;
}

/// Sets `left` (`right`) to -infinity unless |place - centre| < width (kKeepsInside), or if it is, in the lower (upper)
/// halves: two elements cost two instructions and two selections.
template <bool kKeepsInside>
__device__ __forceinline__ void hide_pair(float& left, float& right, unsigned place, unsigned centre, unsigned width) {
  if constexpr (kKeepsInside) {
    asm("{\n"
        ".reg .pred in_left, in_right;\n"
        ".reg .b32 distance;\n"
        "sub.rn.f16x2 distance, %2, %3;\n"
        "abs.f16x2 distance, distance;\n"
        "setp.lt.f16x2 in_left|in_right, distance, %4;\n"
        "selp.f32 %0, %0, 0fFF800000, in_left;\n"
        "selp.f32 %1, %1, 0fFF800000, in_right;\n"
        "}"
        : "+f"(left), "+f"(right)
        : "r"(place), "r"(centre), "r"(width));
  } else {
    asm("{\n"
        ".reg .pred in_left, in_right;\n"
        ".reg .b32 distance;\n"
        "sub.rn.f16x2 distance, %2, %3;\n"
        "abs.f16x2 distance, distance;\n"
        "setp.lt.f16x2 in_left|in_right, distance, %4;\n"
        "selp.f32 %0, 0fFF800000, %0, in_left;\n"
        "selp.f32 %1, 0fFF800000, %1, in_right;\n"
        "}"
        : "+f"(left), "+f"(right)
        : "r"(place), "r"(centre), "r"(width));
  }
}

}  // namespace flashmask
