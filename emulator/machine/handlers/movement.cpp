#include <cstring>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Operand;
using ptx::Type;

struct Wide {
  std::uint64_t half[2];
};

template <class T>
void move(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = a[lane]; });
}

void move_predicate(Warp& warp, const Operation& operation) {
  warp.set_predicate(operation.r[0], warp.predicate(operation.r[1]));
}

/// d = {a, b, …}: elements from the low end up, from r[1] on.
template <class Whole, class Part>
void pack(Warp& warp, const Operation& operation) {
  auto* d = reinterpret_cast<std::byte*>(warp.lanes<Whole>(operation.r[0]));
  constexpr std::uint32_t kParts = sizeof(Whole) / sizeof(Part);
  std::byte* parts[kParts];
  for (std::uint32_t i = 0; i < kParts; ++i) parts[i] = warp.lanes<std::byte>(operation.r[1 + i]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    std::byte whole[sizeof(Whole)];
    for (std::uint32_t i = 0; i < kParts; ++i) {
      std::memcpy(whole + i * sizeof(Part), parts[i] + lane * sizeof(Part), sizeof(Part));
    }
    std::memcpy(d + lane * sizeof(Whole), whole, sizeof(Whole));
  }
}

/// {a, b, …} = d: the whole is r[0].
template <class Whole, class Part>
void unpack(Warp& warp, const Operation& operation) {
  const auto* whole = reinterpret_cast<const std::byte*>(warp.lanes<Whole>(operation.r[0]));
  constexpr std::uint32_t kParts = sizeof(Whole) / sizeof(Part);
  std::byte* parts[kParts];
  for (std::uint32_t i = 0; i < kParts; ++i) parts[i] = warp.lanes<std::byte>(operation.r[1 + i]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    std::byte copy[sizeof(Whole)];
    std::memcpy(copy, whole + lane * sizeof(Whole), sizeof(Whole));
    for (std::uint32_t i = 0; i < kParts; ++i) {
      std::memcpy(parts[i] + lane * sizeof(Part), copy + i * sizeof(Part), sizeof(Part));
    }
  }
}

void pack_words(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint16_t* low = warp.lanes<std::uint16_t>(operation.r[1]);
  const std::uint16_t* high = warp.lanes<std::uint16_t>(operation.r[2]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = low[lane] | std::uint32_t{high[lane]} << 16; });
}

void unpack_words(Warp& warp, const Operation& operation) {
  const std::uint32_t* whole = warp.lanes<std::uint32_t>(operation.r[0]);
  std::uint16_t* low = warp.lanes<std::uint16_t>(operation.r[1]);
  std::uint16_t* high = warp.lanes<std::uint16_t>(operation.r[2]);
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint32_t value = whole[lane];
    low[lane] = static_cast<std::uint16_t>(value);
    high[lane] = static_cast<std::uint16_t>(value >> 16);
  });
}

template <bool Packs>
Handler vector_handler(std::uint32_t whole, std::uint32_t part) {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  if (whole == 4 && part == 2) return Packs ? pack_words : unpack_words;
  if (whole == 8 && part == 2) return Packs ? pack<U64, U16> : unpack<U64, U16>;
  if (whole == 8 && part == 4) return Packs ? pack<U64, U32> : unpack<U64, U32>;
  if (whole == 16 && part == 4) return Packs ? pack<Wide, U32> : unpack<Wide, U32>;
  if (whole == 16 && part == 8) return Packs ? pack<Wide, U64> : unpack<Wide, U64>;
  return nullptr;
}

Type part_type(std::uint32_t bytes) {
  return bytes == 2 ? Type::kB16 : bytes == 4 ? Type::kB32 : Type::kB64;
}

void lower_vector_move(Builder& builder, Type type, bool packs) {
  const std::vector<const Operand*> parts = builder.elements(packs ? 1 : 0);
  const std::uint32_t whole = ptx::size_of(type);
  if (parts.empty() || parts.size() > 8 || whole % parts.size() != 0)
    builder.malformed("the vector does not fit the type");
  const auto part = static_cast<std::uint32_t>(whole / parts.size());
  builder.operation.run = packs ? vector_handler<true>(whole, part) : vector_handler<false>(whole, part);
  if (builder.operation.run == nullptr) builder.unsupported("a vector of such elements is not known");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    builder.operation.r[1 + i] =
        packs ? builder.source(*parts[i], part_type(part)) : builder.destination(*parts[i], part);
  }
  builder.operation.r[0] = packs ? builder.destination(0, whole) : builder.source(1, type);
}

void lower_mov(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(2);
  builder.statistics_class("mov");
  if (type == Type::kPred) {
    builder.operation.r[0] = builder.predicate_destination(builder.operand(0));
    builder.operation.r[1] = builder.predicate_source(builder.operand(1));
    builder.operation.run = move_predicate;
    return;
  }
  if (builder.operand(1).kind == Operand::Kind::kVector) return lower_vector_move(builder, type, true);
  if (builder.operand(0).kind == Operand::Kind::kVector) return lower_vector_move(builder, type, false);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  switch (ptx::size_of(type)) {
    case 2:
      builder.operation.run = move<std::uint16_t>;
      break;
    case 4:
      builder.operation.run = move<std::uint32_t>;
      break;
    case 8:
      builder.operation.run = move<std::uint64_t>;
      break;
    case 16:
      builder.operation.run = move<Wide>;
      break;
    default:
      builder.unsupported("16 to 128 bits are known");
  }
}

std::uint64_t window_of(ptx::Space space) {
  switch (space) {
    case ptx::Space::kShared:
    case ptx::Space::kSharedCluster:
      return kSharedWindow;
    case ptx::Space::kLocal:
      return kLocalWindow;
    case ptx::Space::kParam:
      return kParamWindow;
    default:
      return 0;
  }
}

/// d = a + immediate, or a - immediate with `mode` 1.
template <class T>
void shift_window(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const auto delta = static_cast<T>(operation.mode != 0 ? ~operation.immediate + 1 : operation.immediate);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = a[lane] + delta; });
}

void lower_cvta(Builder& builder) {
  const bool to = builder.take("to");
  const ptx::Space space = builder.space_or_generic();
  if (space == ptx::Space::kGeneric) builder.unsupported("the state space is not known");
  const Type type = builder.type();
  if (type != Type::kU64 && type != Type::kB64) builder.unsupported("only .u64 is known");
  builder.expect_operands(2);
  builder.operation.r[0] = builder.destination(0, 8);
  builder.operation.r[1] = builder.source(1, Type::kU64);
  builder.operation.mode = to ? 1 : 0;
  builder.operation.immediate = window_of(space);
  builder.operation.run = shift_window<std::uint64_t>;
}

void isspacep(Warp& warp, const Operation& operation) {
  const std::uint64_t* a = warp.lanes<std::uint64_t>(operation.r[1]);
  std::uint32_t bits = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t window = a[lane] / kWindowBytes * kWindowBytes;
    const bool special = window == kSharedWindow || window == kLocalWindow || window == kParamWindow;
    const bool inside = operation.immediate == 0 ? !special : window == operation.immediate;
    bits |= (inside ? 1u : 0u) << lane;
  }
  warp.set_predicate(operation.r[0], bits);
}

void lower_isspacep(Builder& builder) {
  const ptx::Space space = builder.space_or_generic();
  if (space == ptx::Space::kGeneric || space == ptx::Space::kConst) builder.unsupported("the state space is not known");
  builder.expect_operands(2);
  builder.operation.r[0] = builder.predicate_destination(builder.operand(0));
  builder.operation.r[1] = builder.source(1, Type::kU64);
  builder.operation.immediate = window_of(space);
  builder.operation.run = isspacep;
}

}  // namespace

void add_movement(LowerTable& table) {
  table["mov"] = lower_mov;
  table["cvta"] = lower_cvta;
  table["isspacep"] = lower_isspacep;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
