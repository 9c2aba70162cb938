#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "emulator/machine/handlers/combine.h"
#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using baseline::Bf16;
using baseline::F16;
using ptx::Operand;
using ptx::Space;
using ptx::Type;

struct Exchange {
  template <class T>
  static T apply(T, T b) {
    return b;
  }
};
struct CompareSwap {
  template <class T>
  static T apply(T old, T b, T c) {
    return old == b ? c : old;
  }
};
template <class H>
struct AddPair {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b) {
    using Half = OnHalves<H, Add>;
    const auto low = Half::apply(static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b));
    const auto high = Half::apply(static_cast<std::uint16_t>(a >> 16), static_cast<std::uint16_t>(b >> 16));
    return std::uint32_t{high} << 16 | low;
  }
};

/// What is stored where `old` was; only a compare-and-swap has a third operand.
template <class F, class T>
T combined(T old, T b, T c) {
  if constexpr (requires { F::apply(old, b, c); }) {
    return F::apply(old, b, c);
  } else {
    return F::apply(old, b);
  }
}

/// One step of one lane on a number in memory; what was there.
template <class T, class F>
T update(Warp& warp, const Operation& operation, std::uint32_t lane, std::uint64_t address, std::uint32_t alignment,
         T b, T c) {
  const Place place = locate(warp, lane, operation.space, address, sizeof(T), alignment, Access::kReadWrite);
  T old;
  std::memcpy(&old, place.data, sizeof(T));
  const T changed = combined<F>(old, b, c);
  std::memcpy(place.data, &changed, sizeof(T));
  // A compare-and-swap that fails again and again is no progress.
  if (std::memcmp(&old, &changed, sizeof(T)) != 0) ++warp.launch->progress;
  // A compare-and-swap that fails writes nothing, so that it publishes nothing either.
  const bool fails = std::is_same_v<F, CompareSwap> && old != b;
  order_access(warp, lane, place, fails ? Access::kRead : Access::kReadWrite);
  Statistics& statistics = warp.launch->statistics;
  (place.shared ? statistics.shared_bytes_read : statistics.global_bytes_read) += sizeof(T);
  (place.shared ? statistics.shared_bytes_written : statistics.global_bytes_written) += sizeof(T);
  return old;
}

/// Lanes go one after the other. r = d (or nothing, for red), b, c.
template <class T, class F>
void atomic(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const T b = warp.lanes<T>(operation.r[1])[lane];
    const T c = operation.r[2] == kNoRef ? T{} : warp.lanes<T>(operation.r[2])[lane];
    const T old = update<T, F>(warp, operation, lane, addresses[lane], sizeof(T), b, c);
    if (operation.r[0] != kNoRef) warp.lanes<T>(operation.r[0])[lane] = old;
  }
}

/// Adds `operation.count` neighbours, each by itself; the first is aligned to all of them. r = what is added.
void add_vector(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  constexpr std::uint32_t kBytes = sizeof(float);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    for (std::uint32_t i = 0; i < operation.count; ++i)
      update<float, Add>(warp, operation, lane, addresses[lane] + i * kBytes,
                         i == 0 ? kBytes * operation.count : kBytes, warp.lanes<float>(operation.r[i])[lane], 0.0f);
  }
}

template <class T>
Handler pick_integer(std::size_t which) {
  constexpr bool kUnsigned = std::is_unsigned_v<T>;
  switch (which) {
    case 0:
      return atomic<T, Add>;
    case 1:
      return atomic<T, Min>;
    case 2:
      return atomic<T, Max>;
    case 3:
      return kUnsigned ? atomic<T, And> : nullptr;
    case 4:
      return kUnsigned ? atomic<T, Or> : nullptr;
    case 5:
      return kUnsigned ? atomic<T, Xor> : nullptr;
    case 6:
      return kUnsigned ? atomic<T, Exchange> : nullptr;
    case 7:
      return kUnsigned ? atomic<T, CompareSwap> : nullptr;
    case 8:
      return kUnsigned ? atomic<T, Increment> : nullptr;
    case 9:
      return kUnsigned ? atomic<T, Decrement> : nullptr;
    default:
      return nullptr;
  }
}

Handler pick(Type type, std::size_t which) {
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return which == 7 ? atomic<std::uint16_t, CompareSwap> : nullptr;
    case Type::kB32:
    case Type::kU32:
      return pick_integer<std::uint32_t>(which);
    case Type::kB64:
    case Type::kU64:
      return pick_integer<std::uint64_t>(which);
    case Type::kS32:
      return pick_integer<std::int32_t>(which);
    case Type::kS64:
      return pick_integer<std::int64_t>(which);
    case Type::kF32:
      return which == 0 ? atomic<float, Add> : nullptr;
    case Type::kF64:
      return which == 0 ? atomic<double, Add> : nullptr;
    case Type::kF16:
      return which == 0 ? atomic<std::uint16_t, OnHalves<F16, Add>> : nullptr;
    case Type::kBf16:
      return which == 0 ? atomic<std::uint16_t, OnHalves<Bf16, Add>> : nullptr;
    case Type::kF16x2:
      return which == 0 ? atomic<std::uint32_t, AddPair<F16>> : nullptr;
    case Type::kBf16x2:
      return which == 0 ? atomic<std::uint32_t, AddPair<Bf16>> : nullptr;
    default:
      return nullptr;
  }
}

Type operand_type(Type type) {
  if (type == Type::kF16 || type == Type::kBf16) return Type::kB16;
  if (type == Type::kF16x2 || type == Type::kBf16x2) return Type::kB32;
  return type;
}

void lower_atomic(Builder& builder, bool returns) {
  const auto order = builder.take_one_of({"relaxed", "acquire", "release", "acq_rel"});
  builder.take_strength(true, order && (*order == 1 || *order == 3), order && *order >= 2);
  const Space space = builder.space_or_generic();
  const auto which = builder.take_one_of({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  if (!which) builder.malformed("the operation is missing or not known");
  builder.take("noftz");
  if (const auto vector = builder.take_one_of({"v2", "v4"})) {
    if (returns || space != Space::kGlobal || *which != 0 || builder.type() != Type::kF32)
      builder.unsupported("of vectors, red.global.add.f32 is known");
    builder.operation.count = *vector == 0 ? 2 : 4;
    builder.expect_operands(2);
    builder.address(0, space);
    const auto elements = builder.elements(1, builder.operation.count);
    for (std::size_t i = 0; i < elements.size(); ++i) builder.operation.r[i] = builder.source(*elements[i], Type::kF32);
    builder.operation.run = add_vector;
    builder.statistics_class("red.global");
    return;
  }
  const Type type = builder.type();
  const bool compares = *which == 7;
  std::size_t at = 0;
  builder.expect_operands((returns ? 2 : 1) + (compares ? 2 : 1));
  if (returns) builder.operation.r[0] = builder.destination(at++, ptx::size_of(type));
  builder.address(at++, space);
  builder.operation.r[1] = builder.source(at++, operand_type(type));
  if (compares) builder.operation.r[2] = builder.source(at++, operand_type(type));
  builder.operation.run = pick(type, *which);
  builder.statistics_class((returns ? "atom." : "red.") + std::string(ptx::name_of(space)));
  if (builder.operation.run == nullptr) builder.unsupported("this operation is not known for the type");
}

void lower_atom(Builder& builder) {
  lower_atomic(builder, true);
}
void lower_red(Builder& builder) {
  lower_atomic(builder, false);
}

}  // namespace

void add_atomics(LowerTable& table) {
  table["atom"] = lower_atom;
  table["red"] = lower_red;
}

}  // namespace flashmask::emulator
