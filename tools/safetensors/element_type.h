#pragma once

#include <optional>
#include <string_view>

namespace flashmask::safetensors {

/// The element types of the safetensors format.
enum class ElementType {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64,
  kC64,
};

/// The name in a file: "F16", "BF16", "I32", ….
std::string_view to_string(ElementType type);
/// Empty for any other text; names are case-sensitive.
std::optional<ElementType> parse_element_type(std::string_view name);
/// Size of one element. Elements smaller than a byte are packed, and a tensor of them fills whole bytes.
int bits_per_element(ElementType type);

}  // namespace flashmask::safetensors
