#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/command/emulate_json.h"
#include "tools/safetensors/element_type.h"

namespace flashmask::command {

// The element types that a launch spec can name: f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, bool.

/// The type that the value names. Throws Error{kInvalidArgument} with the names that there are.
safetensors::ElementType parse_element(const SpecValue& name);
std::optional<safetensors::ElementType> element_named(std::string_view name);
std::size_t element_bytes(safetensors::ElementType type);

/// The bits of a number of the spec as an element, little-endian. Throws Error{kInvalidArgument} where the type cannot
/// hold it; a real number is rounded to nearest even.
std::uint64_t parse_element_bits(const SpecValue& number, safetensors::ElementType type);

/// `count` elements of these bits.
std::vector<std::byte> repeated_elements(safetensors::ElementType type, std::uint64_t count, std::uint64_t bits);
/// 0, 1, 2, … and from 0 again where the type would no longer hold every integer exactly.
std::vector<std::byte> counting_elements(safetensors::ElementType type, std::uint64_t count);
/// N(0, 1) of a floating type, the same for a seed on every machine.
std::vector<std::byte> normal_elements(safetensors::ElementType type, std::uint64_t count, std::uint64_t seed);
bool is_floating(safetensors::ElementType type);

/// A number of a tensor, as exact as its type; nothing where there is none.
using Extreme = std::variant<std::monostate, double, std::int64_t, std::uint64_t>;

/// What one line says of a tensor.
struct ElementSummary {
  Extreme least;  ///< of what is not NaN
  Extreme most;
  std::uint64_t nan_count = 0;
};
/// Empty for the types that a launch spec cannot name.
std::optional<ElementSummary> summarise(safetensors::ElementType type, std::span<const std::byte> bytes);

}  // namespace flashmask::command
