#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {

/// .ftz: a subnormal becomes a zero of its sign.
inline float flush(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

/// .sat: to [0, 1], NaN to 0.
template <class T>
T saturate(T value) {
  const T low = value > T{0} ? value : T{0};
  return low < T{1} ? low : T{1};
}

/// 2^x within one unit of the last place; 2^-inf is +0 and NaN stays NaN.
inline float exp2_float(float x) {
  float clamped = x == x ? x : 0.0f;
  clamped = clamped < -160.0f ? -160.0f : clamped;
  clamped = clamped > 160.0f ? 160.0f : clamped;
  const float whole = std::rint(clamped);
  const float f = clamped - whole;
  // The series of e^(f ln 2) on [-1/2, 1/2]; the first term left out is below 6e-9.
  float p = 1.5252734e-5f;
  p = std::fma(p, f, 1.5403530e-4f);
  p = std::fma(p, f, 1.3333558e-3f);
  p = std::fma(p, f, 9.6181291e-3f);
  p = std::fma(p, f, 5.5504109e-2f);
  p = std::fma(p, f, 2.4022651e-1f);
  p = std::fma(p, f, 6.9314718e-1f);
  p = std::fma(p, f, 1.0f);
  // Two steps, so that neither factor leaves the range of normal numbers.
  const int n = static_cast<int>(whole);
  const int half = n >> 1;
  const float first = std::bit_cast<float>(static_cast<std::uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<std::uint32_t>(n - half + 127) << 23);
  const float result = p * first * second;
  return x == x ? result : x;
}

/// max and min as PTX has them: a NaN gives way to a number, and -0 is below +0.
inline float max_number(float a, float b) {
  const float larger = a > b ? a : b;
  const float equal = std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) & std::bit_cast<std::uint32_t>(b));
  const float number = a == b ? equal : larger;
  return a != a ? b : b != b ? a : number;
}
inline float min_number(float a, float b) {
  const float smaller = a < b ? a : b;
  const float equal = std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) | std::bit_cast<std::uint32_t>(b));
  const float number = a == b ? equal : smaller;
  return a != a ? b : b != b ? a : number;
}
inline double max_number(double a, double b) {
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
inline double min_number(double a, double b) {
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
