#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>

#include "emulator/machine/core/tensor_box.h"
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
using Direction = BulkCopy::Direction;

/// Operands in Operation::r. An address is a base register and a constant offset.
enum Slot : std::size_t {
  kTarget = 0,
  kTargetOffset = 1,
  kSource = 2,
  kSourceOffset = 3,
  kMbarrierAddress = 4,
  kMbarrierOffset = 5,
  kSize = 6,
  kMulticast = 7,
  kCoordinates = 8,  ///< up to five; the map is the source of a load and the target of a store
};
enum Flag : std::uint8_t { kWideTarget = 1, kWideSource = 2, kWideMbarrier = 4, kTensor = 8, kMulticasts = 16 };

constexpr std::uint32_t kBulkAlignment = 16;

std::uint64_t address_at(const Warp& warp, const Operation& operation, Slot slot, Flag wide, std::uint32_t lane) {
  const std::uint64_t offset = warp.lanes<std::uint64_t>(operation.r[slot + 1])[lane];
  if ((operation.flags & wide) != 0) return warp.lanes<std::uint64_t>(operation.r[slot])[lane] + offset;
  return warp.lanes<std::uint32_t>(operation.r[slot])[lane] + static_cast<std::uint32_t>(offset);
}

void require_aligned(Warp& warp, std::uint32_t lane, const char* what, std::uint64_t value, std::uint32_t alignment) {
  if (value % alignment == 0) return;
  warp.fault(Fault::Kind::kMisaligned, lane,
             fmt::format("misaligned: the {} {:#x} of a bulk copy is not a multiple of {}", what, value, alignment));
}

/// Names the mbarrier, and every CTA that the copy writes to.
void set_targets(Warp& warp, const Operation& operation, std::uint32_t lane, Cta& target, BulkCopy& copy) {
  const std::uint64_t address = address_at(warp, operation, kMbarrierAddress, kWideMbarrier, lane);
  const SharedPlace mbarrier = shared_place(warp, lane, address, Mbarrier::kBytes);
  require_aligned(warp, lane, "mbarrier", mbarrier.offset, Mbarrier::kBytes);
  copy.signals = true;
  copy.mbarrier = mbarrier.offset;
  if ((operation.flags & kMulticasts) == 0) {
    if (mbarrier.cta != &target) {
      warp.fault(Fault::Kind::kMbarrier, lane,
                 "the mbarrier of a bulk copy must be in the shared memory of the CTA that the copy writes to");
    }
    copy.targets.push_back(&target);
    return;
  }
  const std::uint32_t mask = warp.lanes<std::uint16_t>(operation.r[kMulticast])[lane];
  const std::vector<Cta*>& ctas = warp.cta->cluster->ctas;
  if (mask == 0 || mask >> ctas.size() != 0) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("a multicast to the CTAs {:#x} of a cluster of {}", mask, ctas.size()));
  }
  for (std::size_t rank = 0; rank < ctas.size(); ++rank) {
    if ((mask >> rank & 1) == 0) continue;
    if (ctas[rank]->live_warps == 0) {
      warp.fault(Fault::Kind::kOutOfBounds, lane,
                 fmt::format("a multicast to the CTA of rank {} of the cluster, all of whose threads have exited; a "
                             "barrier of the cluster must keep them until the copy has completed",
                             rank));
    }
    copy.targets.push_back(ctas[rank]);
  }
}

std::uint32_t own_shared(Warp& warp, std::uint32_t lane, std::uint64_t address) {
  const SharedPlace place = shared_place(warp, lane, address, 0);
  if (place.cta != warp.cta) {
    warp.fault(Fault::Kind::kOutOfBounds, lane, "the source of a bulk copy must be in the CTA's own shared memory");
  }
  return place.offset;
}

BulkCopy plain_copy(Warp& warp, const Operation& operation, std::uint32_t lane) {
  BulkCopy copy;
  copy.direction = static_cast<Direction>(operation.mode);
  const std::uint64_t target = address_at(warp, operation, kTarget, kWideTarget, lane);
  const std::uint64_t source = address_at(warp, operation, kSource, kWideSource, lane);
  const std::uint32_t bytes = warp.lanes<std::uint32_t>(operation.r[kSize])[lane];
  require_aligned(warp, lane, "size", bytes, kBulkAlignment);
  require_aligned(warp, lane, "target", target, kBulkAlignment);
  require_aligned(warp, lane, "source", source, kBulkAlignment);
  copy.bytes = bytes;
  BulkCopy::Run run;
  run.bytes = bytes;
  switch (copy.direction) {
    case Direction::kToShared: {
      const SharedPlace place = shared_place(warp, lane, target, 0);
      run.shared = place.offset;
      run.other = source;
      set_targets(warp, operation, lane, *place.cta, copy);
      break;
    }
    case Direction::kToGlobal:
      copy.source = warp.cta;
      run.shared = own_shared(warp, lane, source);
      run.other = target;
      break;
    case Direction::kBetweenShared: {
      const SharedPlace place = shared_place(warp, lane, target, 0);
      copy.source = warp.cta;
      run.shared = own_shared(warp, lane, source);
      run.other = place.offset;
      set_targets(warp, operation, lane, *place.cta, copy);
      break;
    }
  }
  if (bytes != 0) copy.runs.push_back(run);
  return copy;
}

Type type_of(TensorElement element) {
  switch (element) {
    case TensorElement::kU8:
      return Type::kU8;
    case TensorElement::kU16:
      return Type::kU16;
    case TensorElement::kU32:
      return Type::kU32;
    case TensorElement::kS32:
      return Type::kS32;
    case TensorElement::kU64:
      return Type::kU64;
    case TensorElement::kS64:
      return Type::kS64;
    case TensorElement::kF16:
      return Type::kF16;
    case TensorElement::kF64:
      return Type::kF64;
    case TensorElement::kBf16:
      return Type::kBf16;
    default:
      return Type::kF32;
  }
}

/// The tensor map that `address` leads to.
TensorMap map_at(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t rank) {
  constexpr std::uint32_t kAlignment = 64;
  TensorMapBytes bytes;
  const Place place = locate(warp, lane, Space::kGeneric, address, bytes.size(), kAlignment, Access::kRead);
  std::memcpy(bytes.data(), place.data, bytes.size());
  const std::optional<TensorMap> map = decode(bytes);
  if (!map) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("the 128 bytes at {:#x} are not a tensor map of this machine", address));
  }
  if (map->rank != rank) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("the copy has {} coordinates, the tensor map has {} dimensions", rank, map->rank));
  }
  return *map;
}

BulkCopy tensor_copy(Warp& warp, const Operation& operation, std::uint32_t lane, Type& type) {
  BulkCopy copy;
  copy.direction = static_cast<Direction>(operation.mode);
  const bool loads = copy.direction == Direction::kToShared;
  const std::uint64_t target = address_at(warp, operation, kTarget, kWideTarget, lane);
  const std::uint64_t source = address_at(warp, operation, kSource, kWideSource, lane);
  const TensorMap map = map_at(warp, lane, loads ? source : target, operation.count);
  std::array<std::int32_t, 5> coordinates = {};
  for (std::uint32_t i = 0; i < operation.count; ++i) {
    coordinates[i] = warp.lanes<std::int32_t>(operation.r[kCoordinates + i])[lane];
  }
  std::uint32_t offset = 0;
  if (loads) {
    const SharedPlace place = shared_place(warp, lane, target, 0);
    offset = place.offset;
    set_targets(warp, operation, lane, *place.cta, copy);
  } else {
    offset = own_shared(warp, lane, source);
    copy.source = warp.cta;
  }
  const TensorBox box(map, std::span(coordinates).first(operation.count), offset);
  if (const std::string rule = box.broken_rule(); !rule.empty()) {
    warp.fault(Fault::Kind::kMisaligned, lane, "the tensor copy breaks a rule: " + rule);
  }
  copy.bytes = box.bytes();
  for (const BoxRun& run : box.runs()) {
    // What lies outside the tensor is filled on the way in, and dropped on the way out.
    if (run.inside || loads) copy.runs.push_back({run.shared, run.global, run.bytes, !run.inside});
  }
  fill_outside(map, copy.fill);
  type = type_of(map.element);
  return copy;
}

// --- reductions ------------------------------------------------------------------------------------------------------

template <class T, class F>
void reduce(std::byte* target, const std::byte* source, std::uint64_t bytes) {
  for (std::uint64_t at = 0; at + sizeof(T) <= bytes; at += sizeof(T)) {
    T old;
    T value;
    std::memcpy(&old, target + at, sizeof(T));
    std::memcpy(&value, source + at, sizeof(T));
    const T result = F::apply(old, value);
    std::memcpy(target + at, &result, sizeof(T));
  }
}

template <class F>
Reduction of_any_type(Type type) {
  switch (type) {
    case Type::kU32:
      return reduce<std::uint32_t, F>;
    case Type::kS32:
      return reduce<std::int32_t, F>;
    case Type::kU64:
      return reduce<std::uint64_t, F>;
    case Type::kS64:
      return reduce<std::int64_t, F>;
    case Type::kF16:
      return reduce<std::uint16_t, OnHalves<F16, F>>;
    case Type::kBf16:
      return reduce<std::uint16_t, OnHalves<Bf16, F>>;
    case Type::kF32:
      return std::is_same_v<F, Add> ? reduce<float, F> : nullptr;
    case Type::kF64:
      return std::is_same_v<F, Add> ? reduce<double, F> : nullptr;
    default:
      return nullptr;
  }
}

template <class F>
Reduction of_bits(Type type) {
  if (ptx::size_of(type) == 4 && !ptx::is_float(type)) return reduce<std::uint32_t, F>;
  if (ptx::size_of(type) == 8 && !ptx::is_float(type)) return reduce<std::uint64_t, F>;
  return nullptr;
}

/// The reduction at this position of: add, min, max, and, or, xor, inc, dec. Null when the type has none.
Reduction reduction_of(std::size_t which, Type type) {
  switch (which) {
    case 0:
      return of_any_type<Add>(type);
    case 1:
      return of_any_type<Min>(type);
    case 2:
      return of_any_type<Max>(type);
    case 3:
      return of_bits<And>(type);
    case 4:
      return of_bits<Or>(type);
    case 5:
      return of_bits<Xor>(type);
    case 6:
      return type == Type::kU32 ? reduce<std::uint32_t, Increment> : nullptr;
    default:
      return type == Type::kU32 ? reduce<std::uint32_t, Decrement> : nullptr;
  }
}

// --- running ---------------------------------------------------------------------------------------------------------

void run_copy(Warp& warp, const Operation& operation) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    Type type = static_cast<Type>(operation.size);
    BulkCopy copy =
        (operation.flags & kTensor) != 0 ? tensor_copy(warp, operation, lane, type) : plain_copy(warp, operation, lane);
    copy.lane = lane;
    if (operation.second_offset != 0) {
      copy.reduction = reduction_of(operation.second_offset - 1, type);
      if (copy.reduction == nullptr) {
        warp.fault(Fault::Kind::kUnsupported, lane, "this reduction is not known for the elements of the tensor");
      }
      constexpr std::uint32_t kAdd = 1;
      copy.is_ordered = warp.launch->ordered_sums && ptx::is_float(type) && operation.second_offset == kAdd;
    }
    issue(warp, std::move(copy));
  }
  warp.launch->turns->visible(warp);
}

/// r = target, mbarrier, values from kSize on; count values of `size` bytes.
void run_async_store(Warp& warp, const Operation& operation) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    BulkCopy copy;
    copy.direction = Direction::kBetweenShared;
    copy.generic = true;
    copy.lane = lane;
    copy.bytes = std::uint64_t{operation.size} * operation.count;
    for (std::uint32_t i = 0; i < operation.count; ++i) {
      const auto* value = warp.lanes<std::byte>(operation.r[kSize + i]) + std::size_t{lane} * operation.size;
      std::memcpy(copy.fill + std::size_t{i} * operation.size, value, operation.size);
    }
    // The pattern repeats, whatever the bytes that it is asked for.
    for (std::size_t at = copy.bytes; at < sizeof(copy.fill); ++at) copy.fill[at] = copy.fill[at - copy.bytes];
    const std::uint64_t target = address_at(warp, operation, kTarget, kWideTarget, lane);
    require_aligned(warp, lane, "target", target, static_cast<std::uint32_t>(copy.bytes));
    const SharedPlace place = shared_place(warp, lane, target, static_cast<std::uint32_t>(copy.bytes));
    set_targets(warp, operation, lane, *place.cta, copy);
    copy.runs.push_back({0, place.offset, static_cast<std::uint32_t>(copy.bytes), true});
    issue(warp, std::move(copy));
  }
  warp.launch->turns->visible(warp);
}

void run_commit(Warp& warp, const Operation&) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) != 0) ++warp.bulk_committed[lane];
  }
}

/// immediate = groups that may stay in flight; mode 1: until their sources have been read.
void run_wait(Warp& warp, const Operation& operation) {
  wait_for_groups(warp, warp.mask, operation.immediate, operation.mode != 0);
  warp.launch->turns->visible(warp);
}

void run_prefetch(Warp&, const Operation&) {}

// --- lowering --------------------------------------------------------------------------------------------------------

/// Moves the address that the builder has just filled in to its slots.
void keep_address(Builder& builder, Slot slot, Flag wide) {
  Operation& operation = builder.operation;
  if (operation.wide != 0) operation.flags |= wide;
  operation.r[slot] = operation.address;
  operation.r[slot + 1] = builder.constant(operation.immediate, 8);
  operation.immediate = 0;
  operation.address = kNoRef;
}

/// Puts the address of operand `index` into its slots.
void take_address(Builder& builder, std::size_t index, Slot slot, Flag wide, Space space) {
  builder.address(index, space);
  keep_address(builder, slot, wide);
}

/// [map, {coordinates}]
void take_map(Builder& builder, std::size_t index, Slot slot, Flag wide) {
  const std::vector<Operand>& coordinates = builder.address_with_coordinates(index, Space::kGeneric);
  keep_address(builder, slot, wide);
  if (coordinates.size() != builder.operation.count) {
    builder.malformed(builder.operand(index), fmt::format("{} coordinates are given, the copy has {} dimensions",
                                                          coordinates.size(), builder.operation.count));
  }
  for (std::size_t i = 0; i < coordinates.size(); ++i) {
    builder.operation.r[kCoordinates + i] = builder.source(coordinates[i], Type::kS32);
  }
}

/// The operands after those that every form has: a mask of CTAs, a cache policy.
void take_rest(Builder& builder, std::size_t at, bool multicasts, bool hinted) {
  if (multicasts) {
    builder.operation.flags |= kMulticasts;
    builder.operation.r[kMulticast] = builder.source(at++, Type::kU16);
  }
  if (hinted) builder.source(at++, Type::kU64);
  builder.expect_operands(at);
}

Direction take_direction(Builder& builder) {
  const Space to = builder.space_or_generic();
  const Space from = builder.space_or_generic();
  const bool to_shared = to == Space::kShared || to == Space::kSharedCluster;
  if (to_shared && from == Space::kGlobal) return Direction::kToShared;
  if (to == Space::kGlobal && from == Space::kShared) return Direction::kToGlobal;
  if (to == Space::kSharedCluster && from == Space::kShared) return Direction::kBetweenShared;
  builder.malformed(
      "global to shared::cta or shared::cluster, shared::cta to global, or shared::cta to shared::cluster "
      "was expected");
}

void take_reduction(Builder& builder, bool tensor) {
  const auto which = builder.take_one_of({"add", "min", "max", "and", "or", "xor", "inc", "dec"});
  if (!which) builder.malformed("the operation of the reduction is missing");
  builder.operation.second_offset = static_cast<std::uint32_t>(*which + 1);
  if (tensor) return;
  builder.take("noftz");
  const Type type = builder.type();
  builder.operation.size = static_cast<std::uint8_t>(type);
  if (reduction_of(*which, type) == nullptr) builder.unsupported("this reduction is not known for the type");
}

void take_completion(Builder& builder, Direction direction) {
  if (direction == Direction::kToGlobal) {
    if (!builder.take("bulk_group")) builder.malformed(".bulk_group is missing");
  } else if (!builder.take("mbarrier::complete_tx::bytes")) {
    builder.malformed(".mbarrier::complete_tx::bytes is missing");
  }
}

void lower_tensor(Builder& builder, bool reduces) {
  const auto rank = builder.take_one_of({"1d", "2d", "3d", "4d", "5d"});
  if (!rank) builder.malformed("the dimensions are missing: .1d to .5d");
  Operation& operation = builder.operation;
  operation.count = static_cast<std::uint8_t>(*rank + 1);
  operation.flags |= kTensor;
  builder.take("tile");
  const Direction direction = take_direction(builder);
  operation.mode = static_cast<std::uint8_t>(direction);
  if (reduces) take_reduction(builder, true);
  take_completion(builder, direction);
  const bool multicasts = builder.take("multicast::cluster");
  const bool hinted = builder.take("L2::cache_hint");
  operation.run = run_copy;
  if (direction == Direction::kToGlobal) {
    take_map(builder, 0, kTarget, kWideTarget);
    take_address(builder, 1, kSource, kWideSource, Space::kShared);
    return take_rest(builder, 2, false, hinted);
  }
  if (direction != Direction::kToShared || reduces) builder.malformed("a tensor copy goes between global and shared");
  take_address(builder, 0, kTarget, kWideTarget, Space::kShared);
  take_map(builder, 1, kSource, kWideSource);
  take_address(builder, 2, kMbarrierAddress, kWideMbarrier, Space::kShared);
  take_rest(builder, 3, multicasts, hinted);
}

void lower_plain(Builder& builder, bool reduces) {
  Operation& operation = builder.operation;
  const Direction direction = take_direction(builder);
  operation.mode = static_cast<std::uint8_t>(direction);
  take_completion(builder, direction);
  const bool multicasts = builder.take("multicast::cluster");
  const bool hinted = builder.take("L2::cache_hint");
  if (reduces) take_reduction(builder, false);
  if (reduces && direction != Direction::kToGlobal) builder.unsupported("reductions to global memory are known");
  const Space target = direction == Direction::kToGlobal ? Space::kGlobal : Space::kShared;
  const Space source = direction == Direction::kToShared ? Space::kGlobal : Space::kShared;
  take_address(builder, 0, kTarget, kWideTarget, target);
  take_address(builder, 1, kSource, kWideSource, source);
  operation.r[kSize] = builder.source(2, Type::kU32);
  operation.run = run_copy;
  if (direction == Direction::kToGlobal) return take_rest(builder, 3, false, hinted);
  take_address(builder, 3, kMbarrierAddress, kWideMbarrier, Space::kShared);
  take_rest(builder, 4, multicasts, hinted);
}

void lower_prefetch(Builder& builder) {
  builder.take("tensor");
  builder.take_one_of({"1d", "2d", "3d", "4d", "5d"});
  builder.take("L2");
  builder.take("tile");
  builder.space_or_generic();
  builder.take("L2::cache_hint");
  builder.expect_operands(1, 3);
  builder.operation.run = run_prefetch;
}

}  // namespace

void lower_bulk(Builder& builder) {
  builder.statistics_class("cp.async.bulk");
  if (builder.take("commit_group")) {
    builder.expect_operands(0);
    builder.operation.run = run_commit;
  } else if (builder.take("wait_group")) {
    builder.operation.mode = builder.take("read") ? 1 : 0;
    builder.expect_operands(1);
    builder.operation.immediate = builder.integer(0);
    builder.operation.run = run_wait;
  } else if (builder.take("prefetch")) {
    lower_prefetch(builder);
  } else {
    const bool reduces = builder.take("reduce");
    if (builder.take("tensor")) {
      lower_tensor(builder, reduces);
    } else {
      lower_plain(builder, reduces);
    }
  }
}

void lower_async_store(Builder& builder) {
  builder.statistics_class("st.async");
  builder.take("weak");
  Operation& operation = builder.operation;
  if (!builder.take("mbarrier::complete_tx::bytes")) builder.malformed(".mbarrier::complete_tx::bytes is missing");
  if (builder.space_or_generic() != Space::kSharedCluster) builder.malformed(".shared::cluster was expected");
  const auto vector = builder.take_one_of({"v2", "v4"});
  const Type type = builder.type();
  operation.count = static_cast<std::uint8_t>(vector ? 2u << *vector : 1);
  operation.size = static_cast<std::uint8_t>(ptx::size_of(type));
  if (operation.size < 4 || operation.size * operation.count > sizeof(BulkCopy::fill)) {
    builder.malformed("values of 32 or 64 bits, 16 bytes at most, were expected");
  }
  builder.expect_operands(3);
  take_address(builder, 0, kTarget, kWideTarget, Space::kSharedCluster);
  const std::vector<const Operand*> values = builder.elements(1, operation.count);
  for (std::size_t i = 0; i < values.size(); ++i) operation.r[kSize + i] = builder.source(*values[i], type);
  take_address(builder, 2, kMbarrierAddress, kWideMbarrier, Space::kSharedCluster);
  operation.run = run_async_store;
}

}  // namespace flashmask::emulator
