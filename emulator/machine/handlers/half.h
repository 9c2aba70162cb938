#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {

// Both conversions are free of branches, so that a loop over lanes becomes vector code.

inline float f16_to_float(std::uint16_t half) {
  const std::uint32_t magnitude = std::uint32_t{half} & 0x7fff;
  const std::uint32_t sign = (std::uint32_t{half} & 0x8000) << 16;
  // Scaling by 2^112 moves the exponent and normalises subnormals; infinities and NaNs get their exponent by hand.
  const std::uint32_t scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
  const std::uint32_t special = 0x7f800000u | magnitude << 13;
  return std::bit_cast<float>((magnitude >= 0x7c00 ? special : scaled) | sign);
}

/// Rounds to nearest even.
inline std::uint16_t float_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  // Adding 0.5 leaves the bits of a subnormal half, rounded, at the bottom of the sum.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
  const std::uint32_t rounded = magnitude >= 0x477ff000u ? 0x7c00u : finite;
  return static_cast<std::uint16_t>((magnitude > 0x7f800000u ? 0x7fffu : rounded) | sign);
}

inline float bf16_to_float(std::uint16_t half) {
  return std::bit_cast<float>(std::uint32_t{half} << 16);
}

/// Rounds to nearest even.
inline std::uint16_t float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7fffffff) > 0x7f800000u ? 0x7fffu : rounded);
}

struct F16 {
  static float widen(std::uint16_t half) { return f16_to_float(half); }
  static std::uint16_t narrow(float value) { return float_to_f16(value); }
};

struct Bf16 {
  static float widen(std::uint16_t half) { return bf16_to_float(half); }
  static std::uint16_t narrow(float value) { return float_to_bf16(value); }
};

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
