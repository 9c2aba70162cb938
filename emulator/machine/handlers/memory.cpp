#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

void count_bytes(Warp& warp, std::uint32_t bytes, bool shared, bool global, bool writes) {
  Statistics& statistics = warp.launch->statistics;
  if (shared) (writes ? statistics.shared_bytes_written : statistics.shared_bytes_read) += bytes;
  if (global) (writes ? statistics.global_bytes_written : statistics.global_bytes_read) += bytes;
}

/// Lanes of a generic access that meet shared memory, with their offsets.
void conflicts_of(Warp& warp, std::uint32_t shared_lanes, std::uint64_t* addresses, std::uint32_t bytes) {
  if (shared_lanes == 0) return;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    addresses[lane] &= (std::uint64_t{1} << kRankShift) - 1;
  }
  count_conflicts(*warp.launch, shared_lanes, addresses, bytes);
}

/// Elements of type M in memory, registers of type R (wider or equal; signed M extends its sign).
template <class M, class R>
void load(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  const std::uint32_t bytes = sizeof(M) * operation.count;
  std::uint32_t shared = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const Place place = locate(warp, lane, operation.space, addresses[lane], bytes, bytes, Access::kRead);
    shared |= (place.shared ? 1u : 0u) << lane;
    for (std::uint32_t i = 0; i < operation.count; ++i) {
      M value;
      std::memcpy(&value, place.data + i * sizeof(M), sizeof(M));
      if constexpr (std::is_integral_v<M>) {
        warp.lanes<R>(operation.r[i])[lane] = static_cast<R>(static_cast<std::make_signed_t<R>>(value));
      } else {
        warp.lanes<R>(operation.r[i])[lane] = value;
      }
    }
    count_bytes(warp, bytes, place.shared, place.global, false);
    order_access(warp, lane, place, Access::kRead);
  }
  conflicts_of(warp, shared, addresses, bytes);
}

template <class M, class R>
void store(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  const std::uint32_t bytes = sizeof(M) * operation.count;
  std::uint32_t shared = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const Place place = locate(warp, lane, operation.space, addresses[lane], bytes, bytes, Access::kWrite);
    shared |= (place.shared ? 1u : 0u) << lane;
    for (std::uint32_t i = 0; i < operation.count; ++i) {
      const R value = warp.lanes<R>(operation.r[i])[lane];
      std::memcpy(place.data + i * sizeof(M), &value, sizeof(M));
    }
    count_bytes(warp, bytes, place.shared, place.global, true);
    order_access(warp, lane, place, Access::kWrite);
  }
  ++warp.launch->progress;
  conflicts_of(warp, shared, addresses, bytes);
}

struct Wide {
  std::uint64_t half[2];
};

template <class M>
Handler widen_load(std::uint32_t bytes) {
  if constexpr (sizeof(M) <= 2) {
    if (bytes == 2) return load<M, std::uint16_t>;
  }
  if constexpr (sizeof(M) <= 4) {
    if (bytes == 4) return load<M, std::uint32_t>;
  }
  if (bytes == 8) return load<M, std::uint64_t>;
  return nullptr;
}

template <class M>
Handler narrow_store(std::uint32_t bytes) {
  if constexpr (sizeof(M) <= 2) {
    if (bytes == 2) return store<M, std::uint16_t>;
  }
  if constexpr (sizeof(M) <= 4) {
    if (bytes == 4) return store<M, std::uint32_t>;
  }
  if (bytes == 8) return store<M, std::uint64_t>;
  return nullptr;
}

Handler load_handler(Type type, std::uint32_t bytes) {
  switch (type) {
    case Type::kS8:
      return widen_load<std::int8_t>(bytes);
    case Type::kS16:
      return widen_load<std::int16_t>(bytes);
    case Type::kS32:
      return widen_load<std::int32_t>(bytes);
    default:
      break;
  }
  switch (ptx::size_of(type)) {
    case 1:
      return widen_load<std::uint8_t>(bytes);
    case 2:
      return widen_load<std::uint16_t>(bytes);
    case 4:
      return widen_load<std::uint32_t>(bytes);
    case 8:
      return widen_load<std::uint64_t>(bytes);
    case 16:
      return bytes == 16 ? load<Wide, Wide> : nullptr;
    default:
      return nullptr;
  }
}

Handler store_handler(Type type, std::uint32_t bytes) {
  switch (ptx::size_of(type)) {
    case 1:
      return narrow_store<std::uint8_t>(bytes);
    case 2:
      return narrow_store<std::uint16_t>(bytes);
    case 4:
      return narrow_store<std::uint32_t>(bytes);
    case 8:
      return narrow_store<std::uint64_t>(bytes);
    case 16:
      return bytes == 16 ? store<Wide, Wide> : nullptr;
    default:
      return nullptr;
  }
}

Type untyped(std::uint32_t bytes) {
  switch (bytes) {
    case 2:
      return Type::kB16;
    case 4:
      return Type::kB32;
    case 8:
      return Type::kB64;
    default:
      return Type::kB128;
  }
}

/// An emulation is sequentially consistent; what an access orders matters to the check of happens-before.
void take_order(Builder& builder) {
  const auto order = builder.take_one_of({"volatile", "relaxed", "acquire", "release", "mmio", "weak"});
  const bool strong = order && *order != 5;
  builder.take_strength(strong, order && *order == 2, order && *order == 3);
  if (builder.take("nc")) builder.operation.access |= kConstantRead;
  builder.take_cache_hints();
}

std::uint32_t take_count(Builder& builder) {
  const auto count = builder.take_one_of({"v2", "v4", "v8"});
  return count ? 2u << *count : 1;
}

/// The width of the registers of a load or store: that of the first one given.
std::uint32_t element_bytes(Builder& builder, const std::vector<const Operand*>& elements, Type type) {
  for (const Operand* each : elements) {
    if (const std::uint32_t bytes = builder.register_size(*each); bytes != 0) return bytes;
  }
  return std::max(2u, ptx::size_of(type));
}

void lower_ld(Builder& builder) {
  take_order(builder);
  const Space space = builder.space_or_generic();
  const std::uint32_t count = take_count(builder);
  const Type type = builder.type();
  builder.expect_operands(2);
  const std::vector<const Operand*> elements = builder.elements(0, count);
  const std::uint32_t bytes = element_bytes(builder, elements, type);
  for (std::uint32_t i = 0; i < count; ++i) builder.operation.r[i] = builder.destination(*elements[i], bytes);
  builder.address(1, space);
  builder.operation.count = static_cast<std::uint8_t>(count);
  builder.operation.run = load_handler(type, bytes);
  builder.statistics_class("ld." + std::string(ptx::name_of(space)));
  if (builder.operation.run == nullptr) builder.malformed("the register is too narrow for the type");
  if (ptx::size_of(type) * count > 32) builder.malformed("the vector is too wide");
}

void lower_ldu(Builder& builder) {
  lower_ld(builder);
}

void lower_st(Builder& builder) {
  if (builder.take("async")) return lower_async_store(builder);
  take_order(builder);
  const Space space = builder.space_or_generic();
  const std::uint32_t count = take_count(builder);
  const Type type = builder.type();
  builder.expect_operands(2);
  builder.address(0, space);
  const std::vector<const Operand*> elements = builder.elements(1, count);
  const std::uint32_t bytes = element_bytes(builder, elements, type);
  const Type given = bytes == ptx::size_of(type) ? type : untyped(bytes);
  for (std::uint32_t i = 0; i < count; ++i) builder.operation.r[i] = builder.source(*elements[i], given);
  builder.operation.count = static_cast<std::uint8_t>(count);
  builder.operation.run = store_handler(type, bytes);
  builder.statistics_class("st." + std::string(ptx::name_of(space)));
  if (builder.operation.run == nullptr) builder.malformed("the register is too narrow for the type");
  if (space == Space::kParam || space == Space::kConst) builder.unsupported("this space cannot be written");
  if (ptx::size_of(type) * count > 32) builder.malformed("the vector is too wide");
}

/// Prefetches and their kin move nothing that can be seen.
void lower_prefetch(Builder& builder) {
  builder.space_or_generic();
  builder.take_one_of({"L1", "L2", "L2::evict_last", "L2::evict_normal", "tensormap"});
  builder.expect_operands(1);
}

// --- ldmatrix and stmatrix -------------------------------------------------------------------------------------------

constexpr std::uint32_t kRowBytes = 16;

void transpose(std::uint16_t (&block)[8][8]) {
  for (std::uint32_t i = 0; i < 8; ++i) {
    for (std::uint32_t j = 0; j < i; ++j) std::swap(block[i][j], block[j][i]);
  }
}

void count_matrix(Warp& warp, const std::uint64_t* rows, std::uint32_t count, bool writes) {
  const std::uint32_t lanes = count == 4 ? kAllLanes : (1u << (8 * count)) - 1;
  count_conflicts(*warp.launch, lanes, rows, kRowBytes);
  count_bytes(warp, 8 * count * kRowBytes, true, false, writes);
}

/// Matrix i has its rows at the addresses of lanes 8i to 8i+7; lane 4g+t gets elements 2t and 2t+1 of row g.
void ldmatrix(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  std::uint64_t rows[kLanes];
  lane_addresses(warp, operation, rows);
  for (std::uint32_t i = 0; i < operation.count; ++i) {
    std::uint16_t block[8][8];
    for (std::uint32_t row = 0; row < 8; ++row) {
      const std::uint32_t lane = 8 * i + row;
      const Place place =
          locate(warp, lane, operation.space, rows[lane], kRowBytes, kRowBytes, Access::kRead, kAllLanes);
      if (!place.shared) warp.fault(Fault::Kind::kOutOfBounds, lane, "the row of a matrix is not in shared memory");
      std::memcpy(block[row], place.data, kRowBytes);
    }
    if (operation.mode != 0) transpose(block);
    std::memcpy(warp.lanes<std::uint32_t>(operation.r[i]), block, sizeof(block));
  }
  for (std::uint64_t& row : rows) row &= kWindowBytes - 1;
  count_matrix(warp, rows, operation.count, false);
}

void stmatrix(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  std::uint64_t rows[kLanes];
  lane_addresses(warp, operation, rows);
  for (std::uint32_t i = 0; i < operation.count; ++i) {
    std::uint16_t block[8][8];
    std::memcpy(block, warp.lanes<std::uint32_t>(operation.r[i]), sizeof(block));
    if (operation.mode != 0) transpose(block);
    for (std::uint32_t row = 0; row < 8; ++row) {
      const std::uint32_t lane = 8 * i + row;
      const Place place =
          locate(warp, lane, operation.space, rows[lane], kRowBytes, kRowBytes, Access::kWrite, kAllLanes);
      if (!place.shared) warp.fault(Fault::Kind::kOutOfBounds, lane, "the row of a matrix is not in shared memory");
      std::memcpy(place.data, block[row], kRowBytes);
    }
  }
  ++warp.launch->progress;
  for (std::uint64_t& row : rows) row &= kWindowBytes - 1;
  count_matrix(warp, rows, operation.count, true);
}

void take_matrix(Builder& builder) {
  if (!builder.take("sync") || !builder.take("aligned")) builder.malformed(".sync.aligned is missing");
  if (!builder.take("m8n8")) builder.unsupported("the shape m8n8 is known");
  const auto count = builder.take_one_of({"x1", "x2", "x4"});
  if (!count) builder.malformed(".x1, .x2 or .x4 is missing");
  builder.operation.count = static_cast<std::uint8_t>(1u << *count);
  builder.operation.mode = builder.take("trans") ? 1 : 0;
  builder.operation.space = builder.space_or_generic();
  if (builder.operation.space != Space::kShared && builder.operation.space != Space::kGeneric) {
    builder.malformed("matrices lie in shared memory");
  }
  if (builder.type() != Type::kB16) builder.unsupported("elements of 16 bits are known");
  builder.expect_operands(2);
}

void lower_ldmatrix(Builder& builder) {
  take_matrix(builder);
  const std::vector<const Operand*> elements = builder.elements(0, builder.operation.count);
  for (std::size_t i = 0; i < elements.size(); ++i) builder.operation.r[i] = builder.destination(*elements[i], 4);
  builder.address(1, builder.operation.space);
  builder.operation.run = ldmatrix;
  builder.statistics_class("ldmatrix");
}

void lower_stmatrix(Builder& builder) {
  take_matrix(builder);
  const std::vector<const Operand*> elements = builder.elements(1, builder.operation.count);
  for (std::size_t i = 0; i < elements.size(); ++i) builder.operation.r[i] = builder.source(*elements[i], Type::kB32);
  builder.address(0, builder.operation.space);
  builder.operation.run = stmatrix;
  builder.statistics_class("stmatrix");
}

}  // namespace

void add_memory(LowerTable& table) {
  table["ld"] = lower_ld;
  table["ldu"] = lower_ldu;
  table["st"] = lower_st;
  table["prefetch"] = lower_prefetch;
  table["prefetchu"] = lower_prefetch;
  table["ldmatrix"] = lower_ldmatrix;
  table["stmatrix"] = lower_stmatrix;
}

}  // namespace flashmask::emulator
