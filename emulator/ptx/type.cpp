#include "emulator/ptx/type.h"

#include <array>

namespace flashmask::emulator::ptx {
namespace {

struct TypeRow {
  std::string_view name;
  std::uint32_t size;
};

constexpr std::array<TypeRow, 21> kTypes = {{
    {"pred", 0}, {"b8", 1},    {"b16", 2},  {"b32", 4},    {"b64", 8},  {"b128", 16}, {"u8", 1},
    {"u16", 2},  {"u32", 4},   {"u64", 8},  {"s8", 1},     {"s16", 2},  {"s32", 4},   {"s64", 8},
    {"f16", 2},  {"f16x2", 4}, {"bf16", 2}, {"bf16x2", 4}, {"tf32", 4}, {"f32", 4},   {"f64", 8},
}};

}  // namespace

std::uint32_t size_of(Type type) {
  return kTypes[static_cast<std::size_t>(type)].size;
}

std::string_view name_of(Type type) {
  return kTypes[static_cast<std::size_t>(type)].name;
}

std::optional<Type> type_named(std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == name) return static_cast<Type>(i);
  }
  return std::nullopt;
}

bool is_float(Type type) {
  return type >= Type::kF16;
}

bool is_signed(Type type) {
  return type >= Type::kS8 && type <= Type::kS64;
}

std::string_view name_of(Space space) {
  constexpr std::string_view kNames[] = {"generic", "reg",    "param", "const",
                                         "global",  "shared", "local", "shared::cluster"};
  return kNames[static_cast<std::size_t>(space)];
}

std::optional<Space> space_named(std::string_view name) {
  if (name == "reg") return Space::kRegister;
  if (name == "param" || name == "param::entry") return Space::kParam;
  if (name == "const") return Space::kConst;
  if (name == "global") return Space::kGlobal;
  if (name == "shared" || name == "shared::cta") return Space::kShared;
  if (name == "shared::cluster") return Space::kSharedCluster;
  if (name == "local") return Space::kLocal;
  return std::nullopt;
}

}  // namespace flashmask::emulator::ptx
