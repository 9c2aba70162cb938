#include "tools/command/emulate_elements.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <type_traits>

#include "emulator/machine/core/random.h"
#include "flashmask/reference.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;

struct Element {
  std::string_view name;
  ElementType type;
  bool floating;
  int exact_bits;  ///< it holds every integer below 2^exact_bits
};
constexpr std::array kElements = {
    Element{"f64", ElementType::kF64, true, 53},   Element{"f32", ElementType::kF32, true, 24},
    Element{"f16", ElementType::kF16, true, 11},   Element{"bf16", ElementType::kBF16, true, 8},
    Element{"i64", ElementType::kI64, false, 63},  Element{"i32", ElementType::kI32, false, 31},
    Element{"i16", ElementType::kI16, false, 15},  Element{"i8", ElementType::kI8, false, 7},
    Element{"u64", ElementType::kU64, false, 63},  Element{"u32", ElementType::kU32, false, 32},
    Element{"u16", ElementType::kU16, false, 16},  Element{"u8", ElementType::kU8, false, 8},
    Element{"bool", ElementType::kBool, false, 1},
};

const Element* find_element(ElementType type) {
  for (const Element& each : kElements) {
    if (each.type == type) return &each;
  }
  return nullptr;
}

std::uint64_t bits_of(ElementType type, double value) {
  switch (type) {
    case ElementType::kF64:
      return std::bit_cast<std::uint64_t>(value);
    case ElementType::kF32:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    case ElementType::kF16:
      return reference::from_float(static_cast<float>(value), DataType::kFloat16);
    default:
      return reference::from_float(static_cast<float>(value), DataType::kBfloat16);
  }
}

/// What the bits of a floating type say.
double value_of(ElementType type, std::uint64_t bits) {
  switch (type) {
    case ElementType::kF64:
      return std::bit_cast<double>(bits);
    case ElementType::kF32:
      return double{std::bit_cast<float>(static_cast<std::uint32_t>(bits))};
    case ElementType::kF16:
      return double{reference::to_float(static_cast<std::uint16_t>(bits), DataType::kFloat16)};
    default:
      return double{reference::to_float(static_cast<std::uint16_t>(bits), DataType::kBfloat16)};
  }
}

/// `bits(i)` of every element.
template <typename Bits>
std::vector<std::byte> elements(ElementType type, std::uint64_t count, Bits bits) {
  const std::size_t size = element_bytes(type);
  std::vector<std::byte> result(count * size);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t value = bits(i);
    std::memcpy(result.data() + i * size, &value, size);
  }
  return result;
}

template <typename Stored, typename Shown, typename Convert>
ElementSummary summarise_as(std::span<const std::byte> bytes, Convert convert) {
  ElementSummary summary;
  bool any = false;
  Shown least{}, most{};
  for (std::size_t at = 0; at + sizeof(Stored) <= bytes.size(); at += sizeof(Stored)) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + at, sizeof stored);
    const Shown value = convert(stored);
    if constexpr (std::is_floating_point_v<Shown>) {
      if (std::isnan(value)) {
        ++summary.nan_count;
        continue;
      }
    }
    least = any ? std::min(least, value) : value;
    most = any ? std::max(most, value) : value;
    any = true;
  }
  if (any) {
    summary.least = least;
    summary.most = most;
  }
  return summary;
}

template <typename Stored>
ElementSummary summarise_plain(std::span<const std::byte> bytes) {
  using Integer = std::conditional_t<std::is_signed_v<Stored>, std::int64_t, std::uint64_t>;
  using Shown = std::conditional_t<std::is_floating_point_v<Stored>, double, Integer>;
  return summarise_as<Stored, Shown>(bytes, [](Stored value) { return static_cast<Shown>(value); });
}

ElementSummary summarise_half(std::span<const std::byte> bytes, DataType type) {
  return summarise_as<std::uint16_t, double>(
      bytes, [type](std::uint16_t bits) { return double{reference::to_float(bits, type)}; });
}

}  // namespace

std::optional<ElementType> element_named(std::string_view name) {
  for (const Element& each : kElements) {
    if (each.name == name) return each.type;
  }
  return std::nullopt;
}

ElementType parse_element(const SpecValue& name) {
  const std::optional<ElementType> type = element_named(name.text());
  if (!type) {
    std::string names;
    for (const Element& each : kElements) names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
    name.refuse("one of " + names);
  }
  return *type;
}

std::size_t element_bytes(ElementType type) {
  return static_cast<std::size_t>(safetensors::bits_per_element(type)) / 8;
}

bool is_floating(ElementType type) {
  const Element* element = find_element(type);
  return element != nullptr && element->floating;
}

std::uint64_t parse_element_bits(const SpecValue& number, ElementType type) {
  if (is_floating(type)) {
    const double value = number.real();
    const std::uint64_t bits = bits_of(type, value);
    if (std::isfinite(value) && !std::isfinite(value_of(type, bits))) {
      number.refuse(fmt::format("a number that {} can hold, or \"inf\",", find_element(type)->name));
    }
    return bits;
  }
  const auto size = static_cast<unsigned>(element_bytes(type));
  switch (type) {
    case ElementType::kBool:
      return number.unsigned_integer(0, 1);
    case ElementType::kI8:
    case ElementType::kI16:
    case ElementType::kI32:
    case ElementType::kI64: {
      const std::int64_t most = std::numeric_limits<std::int64_t>::max() >> (64 - 8 * size);
      return static_cast<std::uint64_t>(number.signed_integer(-most - 1, most));
    }
    default:
      return number.unsigned_integer(0, std::numeric_limits<std::uint64_t>::max() >> (64 - 8 * size));
  }
}

std::vector<std::byte> repeated_elements(ElementType type, std::uint64_t count, std::uint64_t bits) {
  return elements(type, count, [bits](std::uint64_t) { return bits; });
}

std::vector<std::byte> counting_elements(ElementType type, std::uint64_t count) {
  const Element& element = *find_element(type);
  const std::uint64_t mask = (std::uint64_t{1} << element.exact_bits) - 1;
  return elements(type, count, [&](std::uint64_t i) {
    return element.floating ? bits_of(type, static_cast<double>(i & mask)) : i & mask;
  });
}

std::vector<std::byte> normal_elements(ElementType type, std::uint64_t count, std::uint64_t seed) {
  emulator::Random random(seed);
  // Box and Muller; of 53 bits each, the first never 0.
  const auto uniform = [&random] { return static_cast<double>((random.next() >> 11) + 1) * 0x1p-53; };
  return elements(type, count, [&](std::uint64_t) {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return bits_of(type, radius * std::cos(2 * std::numbers::pi * uniform()));
  });
}

std::optional<ElementSummary> summarise(ElementType type, std::span<const std::byte> bytes) {
  switch (type) {
    case ElementType::kF64:
      return summarise_plain<double>(bytes);
    case ElementType::kF32:
      return summarise_plain<float>(bytes);
    case ElementType::kF16:
      return summarise_half(bytes, DataType::kFloat16);
    case ElementType::kBF16:
      return summarise_half(bytes, DataType::kBfloat16);
    case ElementType::kI64:
      return summarise_plain<std::int64_t>(bytes);
    case ElementType::kI32:
      return summarise_plain<std::int32_t>(bytes);
    case ElementType::kI16:
      return summarise_plain<std::int16_t>(bytes);
    case ElementType::kI8:
      return summarise_plain<std::int8_t>(bytes);
    case ElementType::kU64:
      return summarise_plain<std::uint64_t>(bytes);
    case ElementType::kU32:
      return summarise_plain<std::uint32_t>(bytes);
    case ElementType::kU16:
      return summarise_plain<std::uint16_t>(bytes);
    case ElementType::kU8:
    case ElementType::kBool:
      return summarise_plain<std::uint8_t>(bytes);
    default:
      return std::nullopt;
  }
}

}  // namespace flashmask::command
