#include "emulator/machine/core/matrix_descriptor.h"

#include <fmt/format.h>

namespace flashmask::emulator {
namespace {

constexpr std::uint32_t kLineBits = 7;  // 128 bytes, once around the banks

constexpr std::uint32_t field(std::uint64_t bits, int first, int count) {
  return static_cast<std::uint32_t>(bits >> first & ((std::uint64_t{1} << count) - 1));
}

struct Reserved {
  int first;
  int last;
};
constexpr Reserved kReserved[] = {{14, 15}, {30, 31}, {46, 48}, {52, 61}};

}  // namespace

MatrixDescriptor::MatrixDescriptor(std::uint64_t bits, Major major)
    : bits_(bits),
      major_(major),
      start_(field(bits, 0, 14) * 16),
      leading_(field(bits, 16, 14) * 16),
      stride_(field(bits, 32, 14) * 16),
      base_offset_(field(bits, 49, 3)),
      // Modes 0 to 3: none, 128, 64 and 32 bytes.
      swizzle_bits_((4 - field(bits, 62, 2)) % 4) {}

std::string MatrixDescriptor::broken_rule() const {
  for (const Reserved& each : kReserved) {
    const std::uint32_t value = field(bits_, each.first, each.last - each.first + 1);
    if (value == 0) continue;
    return fmt::format(
        "the matrix descriptor {:#018x} has the value {:#x} in bits {} to {}, which are reserved and must be 0 "
        "(addresses "
        "and offsets are given divided by 16, in 14 bits each: is one of them not masked?)",
        bits_, value, each.first, each.last);
  }
  if (base_offset_ == 0) return {};
  if (swizzle_bits_ == 0) {
    return fmt::format(
        "the matrix descriptor {:#018x} has the base offset {} without a swizzle; it must be 0 there, because only a "
        "swizzle has a pattern",
        bits_, base_offset_);
  }
  const std::uint32_t line = start_ >> kLineBits & 7;
  if (base_offset_ != line) {
    return fmt::format(
        "the matrix descriptor {:#018x} has the base offset {}, but its matrix starts at shared+{:#x}; 0 is allowed "
        "(the "
        "pattern starts on multiples of {} bytes) or {} (it starts with the matrix)",
        bits_, base_offset_, start_, 128u << swizzle_bits_, line);
  }
  return {};
}

inline std::uint32_t MatrixDescriptor::address(Major major, std::uint32_t mn, std::uint32_t k) const {
  // Spans are powers of two, and without a swizzle they are one chunk.
  const std::uint32_t span_bits = 4 + swizzle_bits_;
  std::uint32_t offset = 0;
  if (major == Major::kK) {
    offset = (mn % 8 << span_bits) + mn / 8 * stride_;
    offset += swizzle_bits_ == 0 ? k % 8 * 2 + k / 8 * leading_ : k * 2;
  } else {
    const std::uint32_t in_span = mn & ((8u << swizzle_bits_) - 1);
    const std::uint32_t next_span = mn >> (3 + swizzle_bits_);
    offset = in_span * 2 + (k % 8 << span_bits);
    offset += swizzle_bits_ == 0 ? next_span * stride_ + k / 8 * leading_ : next_span * leading_ + k / 8 * stride_;
  }
  const std::uint32_t address = start_ + offset;
  const std::uint32_t line = (address >> kLineBits) - base_offset_;
  return address ^ (line & ((1u << swizzle_bits_) - 1)) * kChunkBytes;
}

std::uint32_t MatrixDescriptor::address_of(std::uint32_t mn, std::uint32_t k) const {
  return address(major_, mn, k);
}

void MatrixDescriptor::chunk_addresses(std::uint32_t first, std::uint32_t count,
                                       std::span<std::uint32_t> addresses) const {
  constexpr std::uint32_t kPerRow = kDepth / kChunkElements;
  const std::uint32_t per_k = count / kChunkElements;
  std::uint32_t* at = addresses.data();
  if (major_ == Major::kK) {
    for (std::uint32_t i = 0; i < count; ++i) {
      for (std::uint32_t half = 0; half < kPerRow; ++half) *at++ = address(Major::kK, first + i, half * kChunkElements);
    }
  } else {
    for (std::uint32_t k = 0; k < kDepth; ++k) {
      for (std::uint32_t i = 0; i < per_k; ++i) *at++ = address(Major::kMn, first + i * kChunkElements, k);
    }
  }
}

}  // namespace flashmask::emulator
