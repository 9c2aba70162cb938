#include "tools/safetensors/element_type.h"

#include <array>
#include <cstddef>

namespace flashmask::safetensors {
namespace {

struct Row {
  ElementType type;
  std::string_view name;
  int bits;
};

/// In the order of the enumeration.
constexpr std::array kRows = {
    Row{ElementType::kBool, "BOOL", 8},      Row{ElementType::kF4, "F4", 4},
    Row{ElementType::kF6E2M3, "F6_E2M3", 6}, Row{ElementType::kF6E3M2, "F6_E3M2", 6},
    Row{ElementType::kU8, "U8", 8},          Row{ElementType::kI8, "I8", 8},
    Row{ElementType::kF8E5M2, "F8_E5M2", 8}, Row{ElementType::kF8E4M3, "F8_E4M3", 8},
    Row{ElementType::kF8E8M0, "F8_E8M0", 8}, Row{ElementType::kI16, "I16", 16},
    Row{ElementType::kU16, "U16", 16},       Row{ElementType::kF16, "F16", 16},
    Row{ElementType::kBF16, "BF16", 16},     Row{ElementType::kI32, "I32", 32},
    Row{ElementType::kU32, "U32", 32},       Row{ElementType::kF32, "F32", 32},
    Row{ElementType::kI64, "I64", 64},       Row{ElementType::kU64, "U64", 64},
    Row{ElementType::kF64, "F64", 64},       Row{ElementType::kC64, "C64", 64},
};

}  // namespace

std::string_view to_string(ElementType type) {
  return kRows[static_cast<std::size_t>(type)].name;
}

int bits_per_element(ElementType type) {
  return kRows[static_cast<std::size_t>(type)].bits;
}

std::optional<ElementType> parse_element_type(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

}  // namespace flashmask::safetensors
