#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace flashmask::emulator {

/// The element types that cuTensorMapEncodeTiled knows, in its order.
enum class TensorElement : std::uint8_t {
  kU8,
  kU16,
  kU32,
  kS32,
  kU64,
  kS64,
  kF16,
  kF32,
  kF64,
  kBf16,
  kF32Ftz,
  kTf32,
  kTf32Ftz,
};
/// Bytes of one element.
std::uint32_t size_of(TensorElement element);

enum class TensorSwizzle : std::uint8_t { kNone, k32, k64, k128 };
/// Bytes of a row of the swizzle's pattern: 32, 64 or 128; 0 without a swizzle.
std::uint32_t span_of(TensorSwizzle swizzle);

/// What a tensor map describes: a tensor of `rank` dimensions in global memory, dimension 0 innermost, and the box that
/// one copy moves. The fields and the rules are those of cuTensorMapEncodeTiled.
struct TensorMap {
  TensorElement element = TensorElement::kF16;
  std::uint32_t rank = 1;                     ///< 1 to 5
  std::uint64_t address = 0;                  ///< a multiple of 16
  std::array<std::uint64_t, 5> sizes = {};    ///< elements, 1 to 2^32
  std::array<std::uint64_t, 4> strides = {};  ///< bytes, of dimensions 1 and up; multiples of 16 below 2^40
  std::array<std::uint32_t, 5> box = {};      ///< elements, 1 to 256; the inner one a multiple of 16 bytes
  /// 1 to 8. Dimension i of a box has ceil(box / stride) elements in shared memory, each so many apart in the tensor;
  /// of dimension 0 the stride is ignored.
  std::array<std::uint32_t, 5> element_strides = {1, 1, 1, 1, 1};
  TensorSwizzle swizzle = TensorSwizzle::kNone;  ///< its span bounds the bytes of the inner box dimension
  bool fills_with_nan = false;                   ///< outside the tensor: NaN instead of zero, floating elements only
};

/// The 128 bytes that a kernel receives. They mean something to this machine only. An empty `broken_rule` on return
/// says that the map is a right one; otherwise it names the rule, what was given and what is allowed, and the bytes are
/// no map. kTf32 and kTf32Ftz, which round elements on their way, are refused.
using TensorMapBytes = std::array<std::byte, 128>;
TensorMapBytes encode(const TensorMap& map, std::string& broken_rule);

/// What encode() made; nothing for any other bytes.
std::optional<TensorMap> decode(std::span<const std::byte, 128> bytes);

}  // namespace flashmask::emulator
