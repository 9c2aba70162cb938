#include "runtime/reference/half_precision.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "flashmask/reference.h"

namespace flashmask::reference {
namespace {

// fp16: 1 sign, 5 exponent (bias 15), 10 fraction bits. fp32: 1, 8 (bias 127), 23.
constexpr int kHalfFractionBits = 10;
constexpr int kFloatFractionBits = 23;
constexpr int kDroppedBits = kFloatFractionBits - kHalfFractionBits;
constexpr std::uint32_t kFloatInfinity = 0x7f800000u;
constexpr std::uint32_t kExponentRebias = (127u - 15u) << kFloatFractionBits;
constexpr std::uint32_t kHalfSmallestNormal = (127u - 14u) << kFloatFractionBits;  ///< 2^-14 as fp32 bits

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity and NaN keep their fraction
    return std::bit_cast<float>(sign | kFloatInfinity | (magnitude & 0x3ffu) << kDroppedBits);
  }
  if (magnitude < 0x0400u) {  // subnormal: a whole number of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << kDroppedBits) + kExponentRebias));
}

/// Drops `count` low bits of `bits`, rounding to nearest even. A carry out of the fraction raises the exponent, which
/// is what rounding up past a power of two (or past the largest number, to infinity) means.
std::uint32_t round_off(std::uint32_t bits, int count) {
  const std::uint32_t odd = bits >> count & 1u;
  return (bits + ((1u << (count - 1)) - 1u) + odd) >> count;
}

std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (magnitude > kFloatInfinity) {
    half = 0x7e00u | (magnitude >> kDroppedBits & 0x3ffu);  // NaN, made quiet
  } else if (magnitude < kHalfSmallestNormal) {
    // Adding 0.5 moves the last place to 2^-24, the unit of subnormals, and the addition rounds to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5f);
  } else {
    const std::uint32_t largest_rounded = 0x7c00u;
    half = std::min(round_off(std::min(magnitude, kFloatInfinity) - kExponentRebias, kDroppedBits), largest_rounded);
  }
  return static_cast<std::uint16_t>(sign | half);
}

std::uint16_t float_to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > kFloatInfinity) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);  // NaN, made quiet
  return static_cast<std::uint16_t>(round_off(bits, 16));
}

}  // namespace

float to_float(std::uint16_t bits, DataType dtype) {
  if (dtype == DataType::kFloat16) return half_to_float(bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t from_float(float value, DataType dtype) {
  return dtype == DataType::kFloat16 ? float_to_half(value) : float_to_bfloat16(value);
}

float rounded(float value, DataType dtype) {
  return to_float(from_float(value, dtype), dtype);
}

double unit_in_last_place(double value, DataType dtype) {
  const int fraction_bits = dtype == DataType::kFloat16 ? kHalfFractionBits : 7;
  const int least_exponent = dtype == DataType::kFloat16 ? -14 : -126;
  const int exponent = value == 0 ? least_exponent : std::max(std::ilogb(value), least_exponent);
  return std::ldexp(1.0, exponent - fraction_bits);
}

}  // namespace flashmask::reference
