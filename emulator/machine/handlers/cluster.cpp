#include <bit>

#include <fmt/format.h>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Space;
using ptx::Type;

// --- addresses in the shared memory of other CTAs --------------------------------------------------------------------

std::uint64_t operand_of(const Warp& warp, Ref ref, std::uint32_t bytes, std::uint32_t lane) {
  return bytes == 8 ? warp.lanes<std::uint64_t>(ref)[lane] : warp.lanes<std::uint32_t>(ref)[lane];
}

void set_result(const Warp& warp, Ref ref, std::uint32_t bytes, std::uint32_t lane, std::uint64_t value) {
  if (bytes == 8) {
    warp.lanes<std::uint64_t>(ref)[lane] = value;
  } else {
    warp.lanes<std::uint32_t>(ref)[lane] = static_cast<std::uint32_t>(value);
  }
}

/// r = d, address, rank; size = bytes of an address; flags bit 0: addresses are generic.
void run_mapa(Warp& warp, const Operation& operation) {
  const std::uint64_t window = (operation.flags & 1) != 0 ? kSharedWindow : 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const std::uint64_t address = operand_of(warp, operation.r[1], operation.size, lane);
    const SharedPlace place = resolve_shared(warp, lane, address);
    const std::uint32_t rank = warp.lanes<std::uint32_t>(operation.r[2])[lane];
    if (rank >= warp.cta->cluster->ctas.size()) {
      warp.fault(Fault::Kind::kOutOfBounds, lane,
                 fmt::format("there is no CTA of rank {} in a cluster of {}", rank, warp.cta->cluster->ctas.size()));
    }
    const std::uint64_t mapped = window + (std::uint64_t{rank + 1} << kRankShift) + place.offset;
    set_result(warp, operation.r[0], operation.size, lane, mapped);
  }
}

/// r = d, address; size = bytes of an address.
void run_rank_of(Warp& warp, const Operation& operation) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const std::uint64_t address = operand_of(warp, operation.r[1], operation.size, lane);
    warp.lanes<std::uint32_t>(operation.r[0])[lane] = resolve_shared(warp, lane, address).cta->rank;
  }
}

Type address_type(Builder& builder) {
  const Type type = builder.type();
  if (type != Type::kU32 && type != Type::kU64) builder.malformed("an address is .u32 or .u64");
  return type;
}

bool take_generic(Builder& builder) {
  const Space space = builder.space_or_generic();
  if (space == Space::kGeneric) return true;
  if (space != Space::kSharedCluster) builder.malformed(".shared::cluster was expected");
  return false;
}

void lower_mapa(Builder& builder) {
  Operation& operation = builder.operation;
  operation.flags = take_generic(builder) ? 1 : 0;
  const Type type = address_type(builder);
  builder.expect_operands(3);
  operation.size = static_cast<std::uint8_t>(ptx::size_of(type));
  operation.r[0] = builder.destination(0, operation.size);
  operation.r[1] = builder.source(1, type);
  operation.r[2] = builder.source(2, Type::kU32);
  operation.run = run_mapa;
}

void lower_rank_of(Builder& builder) {
  Operation& operation = builder.operation;
  take_generic(builder);
  const Type type = address_type(builder);
  builder.expect_operands(2);
  operation.size = static_cast<std::uint8_t>(ptx::size_of(type));
  operation.r[0] = builder.destination(0, 4);
  operation.r[1] = builder.source(1, type);
  operation.run = run_rank_of;
}

// --- barrier.cluster -------------------------------------------------------------------------------------------------

/// flags bit 0 aligned, bit 1 relaxed.
void run_cluster_arrive(Warp& warp, const Operation& operation) {
  if ((operation.flags & 1) != 0 && !converge(warp, warp.exists)) return;
  Cluster& cluster = *warp.cta->cluster;
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.mask));
  if (((warp.cluster_arrived | warp.cluster_released) & warp.mask) != 0) {
    warp.fault(Fault::Kind::kBarrier, lane,
               "the thread arrives at the barrier of the cluster twice without barrier.cluster.wait between");
  }
  warp.cluster_arrived |= warp.mask;
  if (warp.launch->races) {
    if ((operation.flags & 2) == 0) {
      release(warp, warp.mask, cluster.arriving);
    } else {
      release_fenced(warp, warp.mask, Scope::kCluster, cluster.arriving);
    }
  }
  complete_if_done(*warp.launch, cluster);
  warp.launch->turns->visible(warp);
}

/// flags bit 0 aligned.
void run_cluster_wait(Warp& warp, const Operation& operation) {
  if ((operation.flags & 1) != 0 && !converge(warp, warp.exists)) return;
  Cluster& cluster = *warp.cta->cluster;
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.mask));
  if ((warp.mask & ~(warp.cluster_arrived | warp.cluster_released)) != 0) {
    warp.fault(Fault::Kind::kBarrier, lane, "barrier.cluster.wait without an arrival of the thread before it");
  }
  if ((warp.mask & warp.cluster_arrived) != 0) return wait_here(warp);
  warp.cluster_released &= ~warp.mask;
  if (warp.launch->races) acquire(warp, warp.mask, cluster.completed);
}

}  // namespace

void lower_cluster_barrier(Builder& builder) {
  builder.statistics_class("bar");
  const auto kind = builder.take_one_of({"arrive", "wait"});
  if (!kind) builder.malformed(".arrive or .wait is missing");
  const auto order = builder.take_one_of({"release", "relaxed", "acquire"});
  if (order && (*order == 2) != (*kind == 1)) builder.malformed("an arrival is .release or .relaxed, a wait .acquire");
  const bool aligned = builder.take("aligned");
  builder.expect_operands(0);
  builder.operation.flags = static_cast<std::uint8_t>((aligned ? 1 : 0) | (order && *order == 1 ? 2 : 0));
  builder.operation.run = *kind == 0 ? run_cluster_arrive : run_cluster_wait;
}

void add_cluster(LowerTable& table) {
  table["mapa"] = lower_mapa;
  table["getctarank"] = lower_rank_of;
}

}  // namespace flashmask::emulator
