#pragma once

#include <optional>
#include <string_view>

#include "emulator/machine/lowering/builder.h"

namespace flashmask::emulator {

/// Special registers that hold one value or one per lane.
enum class SpecialRegister : std::uint8_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kWarpid,
  kNwarpid,
  kSmid,
  kNsmid,
  kGridid,
  kClock,
  kClock64,
  kGlobaltimer,
  kDynamicSharedSize,
  kTotalSharedSize,
  kAggregateSharedSize,
  kReservedSharedBegin,
  kReservedSharedEnd,
  kReservedSharedSize,
  kReservedShared0,
  kReservedShared1,
  kGridWorkspaceHigh,
  kGridWorkspaceLow,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kClusteridX,
  kClusteridY,
  kClusteridZ,
  kNclusteridX,
  kNclusteridY,
  kNclusteridZ,
  kClusterCtaidX,
  kClusterCtaidY,
  kClusterCtaidZ,
  kClusterNctaidX,
  kClusterNctaidY,
  kClusterNctaidZ,
  kClusterCtarank,
  kClusterNctarank,
};
std::optional<SpecialRegister> special_register_named(std::string_view name);

// Operations that the lowering itself needs.
Handler special_register_handler();
Handler variable_address_handler();
Handler branch_handler();
Handler exit_handler();

/// bar.warp.sync and barrier.cluster, which share their opcodes with the barriers of the CTA.
void lower_warp_barrier(Builder& builder);
void lower_cluster_barrier(Builder& builder);
/// cp.async.bulk and what else shares the opcode cp, and mbarrier.arrive by cp.async.
void lower_bulk(Builder& builder);
void lower_copy_arrival(Builder& builder);
void lower_async_store(Builder& builder);

// Families that are the same for every processor.
void add_control(LowerTable& table);
void add_memory(LowerTable& table);
void add_atomics(LowerTable& table);
void add_copies(LowerTable& table);
void add_cluster(LowerTable& table);
void add_fences(LowerTable& table);
void add_mbarriers(LowerTable& table);
void add_registers(LowerTable& table);
void add_warp_exchange(LowerTable& table);

// Families that are compiled twice: with AVX2, FMA and F16C, and for any x86-64.
#define FLASHMASK_EMULATOR_FAMILIES       \
  void add_arithmetic(LowerTable& table); \
  void add_bits(LowerTable& table);       \
  void add_comparison(LowerTable& table); \
  void add_conversion(LowerTable& table); \
  void add_matrix(LowerTable& table);     \
  void add_movement(LowerTable& table);   \
  void add_wgmma(LowerTable& table);      \
  void add_wmma(LowerTable& table);

namespace avx2 {
FLASHMASK_EMULATOR_FAMILIES
}
namespace baseline {
FLASHMASK_EMULATOR_FAMILIES
}

}  // namespace flashmask::emulator
