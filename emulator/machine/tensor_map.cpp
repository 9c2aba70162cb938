#include "emulator/machine/tensor_map.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace flashmask::emulator {
namespace {

constexpr std::uint64_t kMagic = 0x70616d726f736e74;  // "tnsormap"
constexpr std::uint64_t kMostSize = std::uint64_t{1} << 32;
constexpr std::uint64_t kStrideLimit = std::uint64_t{1} << 40;
constexpr std::uint32_t kMostBox = 256;
constexpr std::uint32_t kMostElementStride = 8;
constexpr std::uint32_t kMostRank = 5;
constexpr std::uint32_t kAlignment = 16;

bool is_floating(TensorElement element) {
  return element >= TensorElement::kF16;
}

/// The rules are those of cuTensorMapEncodeTiled in cuda.h, without interleaving.
std::string broken_rule_of(const TensorMap& map) {
  if (map.rank < 1 || map.rank > kMostRank) return fmt::format("rank = {}: 1 to 5 is allowed", map.rank);
  if (map.element == TensorElement::kTf32 || map.element == TensorElement::kTf32Ftz) {
    return "element = tf32: copies would round it, and this machine moves bytes as they are; use f32";
  }
  if (map.address % kAlignment != 0) {
    return fmt::format("address = {:#x}: a multiple of 16 is needed", map.address);
  }
  for (std::uint32_t i = 0; i < map.rank; ++i) {
    if (map.sizes[i] < 1 || map.sizes[i] > kMostSize) {
      return fmt::format("sizes[{}] = {}: 1 to 2^32 elements are allowed", i, map.sizes[i]);
    }
    if (map.box[i] < 1 || map.box[i] > kMostBox) {
      return fmt::format("box[{}] = {}: 1 to 256 elements are allowed", i, map.box[i]);
    }
    if (map.element_strides[i] < 1 || map.element_strides[i] > kMostElementStride) {
      return fmt::format("element_strides[{}] = {}: 1 to 8 is allowed", i, map.element_strides[i]);
    }
  }
  for (std::uint32_t i = 0; i + 1 < map.rank; ++i) {
    if (map.strides[i] % kAlignment != 0 || map.strides[i] >= kStrideLimit) {
      return fmt::format("strides[{}] = {} bytes (of dimension {}): a multiple of 16 below 2^40 is needed", i,
                         map.strides[i], i + 1);
    }
  }
  const std::uint32_t inner = map.box[0] * size_of(map.element);
  if (inner % kAlignment != 0) {
    return fmt::format("box[0] = {} elements are {} bytes: a multiple of 16 bytes is needed", map.box[0], inner);
  }
  if (const std::uint32_t span = span_of(map.swizzle); span != 0 && inner > span) {
    return fmt::format("box[0] = {} elements are {} bytes: at most {} bytes are allowed with a swizzle of {}",
                       map.box[0], inner, span, span);
  }
  if (map.fills_with_nan && !is_floating(map.element)) {
    return "fills_with_nan: floating-point elements are needed, integers are filled with zero";
  }
  return {};
}

struct Encoded {
  std::uint64_t magic;
  std::uint64_t address;
  std::uint64_t sizes[5];
  std::uint64_t strides[4];
  std::uint16_t box[5];
  std::uint8_t element_strides[5];
  std::uint8_t rank;
  std::uint8_t element;
  std::uint8_t swizzle;
  std::uint8_t fills_with_nan;
  std::uint8_t padding[13];
  std::uint64_t checksum;
};
static_assert(sizeof(Encoded) == sizeof(TensorMapBytes));

/// Of everything before the checksum: FNV-1a, in words.
std::uint64_t checksum_of(const Encoded& encoded) {
  std::uint64_t words[offsetof(Encoded, checksum) / 8];
  std::memcpy(words, &encoded, sizeof(words));
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t word : words) hash = (hash ^ word) * 0x100000001b3;
  return hash;
}

}  // namespace

std::uint32_t size_of(TensorElement element) {
  switch (element) {
    case TensorElement::kU8:
      return 1;
    case TensorElement::kU16:
    case TensorElement::kF16:
    case TensorElement::kBf16:
      return 2;
    case TensorElement::kU64:
    case TensorElement::kS64:
    case TensorElement::kF64:
      return 8;
    default:
      return 4;
  }
}

std::uint32_t span_of(TensorSwizzle swizzle) {
  return swizzle == TensorSwizzle::kNone ? 0 : 16u << static_cast<int>(swizzle);
}

TensorMapBytes encode(const TensorMap& map, std::string& broken_rule) {
  broken_rule = broken_rule_of(map);
  if (!broken_rule.empty()) return {};
  Encoded encoded = {};
  encoded.magic = kMagic;
  encoded.address = map.address;
  for (std::uint32_t i = 0; i < map.rank; ++i) {
    encoded.sizes[i] = map.sizes[i];
    encoded.box[i] = static_cast<std::uint16_t>(map.box[i]);
    encoded.element_strides[i] = static_cast<std::uint8_t>(map.element_strides[i]);
    if (i + 1 < map.rank) encoded.strides[i] = map.strides[i];
  }
  encoded.rank = static_cast<std::uint8_t>(map.rank);
  encoded.element = static_cast<std::uint8_t>(map.element);
  encoded.swizzle = static_cast<std::uint8_t>(map.swizzle);
  encoded.fills_with_nan = map.fills_with_nan ? 1 : 0;
  encoded.checksum = checksum_of(encoded);
  return std::bit_cast<TensorMapBytes>(encoded);
}

std::optional<TensorMap> decode(std::span<const std::byte, 128> bytes) {
  Encoded encoded;
  std::memcpy(&encoded, bytes.data(), sizeof(encoded));
  if (encoded.magic != kMagic || encoded.checksum != checksum_of(encoded)) return std::nullopt;
  TensorMap map;
  map.address = encoded.address;
  map.rank = encoded.rank;
  for (std::uint32_t i = 0; i < map.rank; ++i) {
    map.sizes[i] = encoded.sizes[i];
    map.box[i] = encoded.box[i];
    map.element_strides[i] = encoded.element_strides[i];
    if (i + 1 < map.rank) map.strides[i] = encoded.strides[i];
  }
  map.element = static_cast<TensorElement>(encoded.element);
  map.swizzle = static_cast<TensorSwizzle>(encoded.swizzle);
  map.fills_with_nan = encoded.fills_with_nan != 0;
  return map;
}

}  // namespace flashmask::emulator
