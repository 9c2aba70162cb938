#include "tools/command/emulate_tensor_map_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

namespace flashmask::command {
namespace {

using emulator::TensorElement;
using emulator::TensorSwizzle;

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

constexpr std::array kElements = {
    Named{"u8", TensorElement::kU8},
    Named{"u16", TensorElement::kU16},
    Named{"u32", TensorElement::kU32},
    Named{"i32", TensorElement::kS32},
    Named{"u64", TensorElement::kU64},
    Named{"i64", TensorElement::kS64},
    Named{"f16", TensorElement::kF16},
    Named{"f32", TensorElement::kF32},
    Named{"f64", TensorElement::kF64},
    Named{"bf16", TensorElement::kBf16},
    Named{"f32-ftz", TensorElement::kF32Ftz},
    Named{"tf32", TensorElement::kTf32},
    Named{"tf32-ftz", TensorElement::kTf32Ftz},
};
constexpr std::array kSwizzles = {
    Named{"none", TensorSwizzle::kNone},
    Named{"32B", TensorSwizzle::k32},
    Named{"64B", TensorSwizzle::k64},
    Named{"128B", TensorSwizzle::k128},
};
constexpr std::array kFills = {Named{"zero", false}, Named{"nan", true}};

template <typename Value, std::size_t kCount>
Value named(const SpecValue& text, const std::array<Named<Value>, kCount>& choices) {
  const std::string name = text.text();
  std::string allowed;
  for (const Named<Value>& each : choices) {
    if (each.name == name) return each.value;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", each.name);
  }
  text.refuse("one of " + allowed);
}

/// Fills the first `count` numbers.
template <typename Number, std::size_t kMost>
void read_numbers(const SpecValue& value, std::size_t count, std::array<Number, kMost>& numbers) {
  const std::vector<SpecValue> items = value.items(count, count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<Number>(items[i].unsigned_integer(0, std::numeric_limits<Number>::max()));
  }
}

/// The strides of a tensor without gaps, in bytes.
void pack(const SpecValue& value, emulator::TensorMap& map) {
  std::uint64_t bytes = emulator::size_of(map.element);
  for (std::size_t i = 0; i + 1 < map.rank; ++i) {
    if (__builtin_mul_overflow(bytes, map.sizes[i], &bytes)) value.fail("the strides of these sizes overflow 64 bits");
    map.strides[i] = bytes;
  }
}

}  // namespace

ParameterSpec read_tensor_map(const SpecValue& value) {
  static const std::vector<std::string> kKeys = {"of",  "offset",          "element", "sizes", "strides",
                                                 "box", "element_strides", "swizzle", "fill"};
  value.allow_keys(kKeys);
  emulator::TensorMap map;
  map.element = named(value.require("element"), kElements);
  const SpecValue sizes = value.require("sizes");
  map.rank = static_cast<std::uint32_t>(sizes.items(1, map.sizes.size()).size());
  read_numbers(sizes, map.rank, map.sizes);
  if (const auto strides = value.find("strides")) {
    read_numbers(*strides, map.rank - 1, map.strides);
  } else {
    pack(sizes, map);
  }
  read_numbers(value.require("box"), map.rank, map.box);
  if (const auto strides = value.find("element_strides")) read_numbers(*strides, map.rank, map.element_strides);
  if (const auto swizzle = value.find("swizzle")) map.swizzle = named(*swizzle, kSwizzles);
  if (const auto fill = value.find("fill")) map.fills_with_nan = named(*fill, kFills);
  if (const auto offset = value.find("offset")) map.address = offset->unsigned_integer(0, kMostMemoryBytes);

  ParameterSpec parameter;
  parameter.bytes.resize(sizeof(emulator::TensorMapBytes));
  parameter.alignment = 64;
  const SpecValue of = value.require("of");
  parameter.patches.push_back({0, of.text(), value.where(), map});
  return parameter;
}

}  // namespace flashmask::command
