#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/flow.h"
#include "emulator/machine/handlers/families.h"

namespace flashmask::emulator {
namespace {

using ptx::Operand;
using ptx::Type;

void run_branch(Warp& warp, const Operation& operation) {
  branch(warp, static_cast<std::uint32_t>(operation.immediate));
}

void run_exit(Warp& warp, const Operation&) {
  exit_lanes(warp);
}

/// Lanes that agree on a target go together, the lowest lane's first; the rest come back to this instruction.
void run_indexed_branch(Warp& warp, const Operation& operation) {
  const auto& targets = warp.launch->kernel->branch_targets[operation.immediate];
  const std::uint32_t* index = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t all = warp.mask;
  const auto first = static_cast<std::uint32_t>(std::countr_zero(all));
  if (index[first] >= targets.size()) {
    warp.fault(Fault::Kind::kOutOfBounds, first,
               fmt::format("the index {} is outside the list of {} targets", index[first], targets.size()));
  }
  std::uint32_t same = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((all >> lane & 1) != 0 && index[lane] == index[first]) same |= 1u << lane;
  }
  if (same != all) {
    warp.parked.push_back({warp.pc, all & ~same, LaneGroup::State::kReady, 0});
    warp.active &= ~(all & ~same);
    warp.interrupted = true;
    warp.mask = same;
  }
  branch(warp, targets[index[first]]);
}

void run_trap(Warp& warp, const Operation&) {
  warp.fault(Fault::Kind::kTrap, static_cast<std::uint32_t>(std::countr_zero(warp.mask)), "the kernel trapped");
}

void run_sleep(Warp& warp, const Operation&) {
  warp.interrupted = true;
}

void lower_bra(Builder& builder) {
  builder.take("uni");
  builder.expect_operands(1);
  if (builder.operand(0).kind != Operand::Kind::kLabel) builder.malformed("a label was expected");
  builder.operation.immediate = builder.operand(0).index;
  builder.operation.run = run_branch;
  builder.statistics_class("control");
}

void lower_brx(Builder& builder) {
  if (!builder.take("idx")) builder.malformed(".idx is missing");
  builder.take("uni");
  builder.expect_operands(2);
  builder.operation.r[0] = builder.source(0, Type::kU32);
  if (builder.operand(1).kind != Operand::Kind::kTargets) builder.malformed("a list of branch targets was expected");
  builder.operation.immediate = builder.operand(1).index;
  builder.operation.run = run_indexed_branch;
  builder.statistics_class("control");
}

void lower_exit(Builder& builder) {
  builder.take("uni");
  builder.expect_operands(0);
  builder.operation.run = run_exit;
  builder.statistics_class("control");
}

void lower_trap(Builder& builder) {
  builder.expect_operands(0);
  builder.operation.run = run_trap;
  builder.statistics_class("control");
}

void lower_nanosleep(Builder& builder) {
  builder.type();
  builder.expect_operands(1);
  builder.source(0, Type::kU32);
  builder.operation.run = run_sleep;
  builder.statistics_class("control");
}

// --- barriers --------------------------------------------------------------------------------------------------------

/// r = id, count (or nothing), result, predicate; mode = reduction; flags bit 0 aligned, bit 1 arrive only.
void run_barrier(Warp& warp, const Operation& operation) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.mask));
  BarrierArrival arrival;
  arrival.id = warp.lanes<std::uint32_t>(operation.r[0])[lane];
  arrival.count = operation.r[1] == kNoRef ? 0 : warp.lanes<std::uint32_t>(operation.r[1])[lane];
  arrival.aligned = (operation.flags & 1) != 0;
  arrival.waits = (operation.flags & 2) == 0;
  arrival.reduction = static_cast<char>(operation.mode);
  arrival.destination = operation.r[2];
  arrival.truths = operation.r[3] == kNoRef ? 0 : warp.predicate(operation.r[3]);
  for (std::uint32_t other = 0; other < kLanes; ++other) {
    if ((warp.mask >> other & 1) == 0) continue;
    const bool differs =
        warp.lanes<std::uint32_t>(operation.r[0])[other] != arrival.id ||
        (operation.r[1] != kNoRef && warp.lanes<std::uint32_t>(operation.r[1])[other] != arrival.count);
    if (differs) warp.fault(Fault::Kind::kBarrier, other, "lanes of one warp name different barriers or counts");
  }
  arrive(warp, arrival);
}

void lower_bar(Builder& builder) {
  if (builder.take("warp")) {
    if (!builder.take("sync")) builder.malformed(".sync is missing");
    return lower_warp_barrier(builder);
  }
  // bar is barrier.aligned.
  bool aligned = builder.opcode() == "bar";
  if (builder.take("cluster")) return lower_cluster_barrier(builder);
  builder.take("cta");
  const auto kind = builder.take_one_of({"sync", "arrive", "red"});
  if (!kind) builder.unsupported("sync, arrive and red are known");
  if (builder.take("aligned")) aligned = true;
  Operation& operation = builder.operation;
  operation.flags = static_cast<std::uint8_t>((aligned ? 1 : 0) | (*kind == 1 ? 2 : 0));
  std::size_t at = 0;
  if (*kind == 2) {
    const auto reduction = builder.take_one_of({"and", "or", "popc"});
    if (!reduction) builder.malformed(".and, .or or .popc is missing");
    operation.mode = static_cast<std::uint8_t>("aop"[*reduction]);
    const Type type = builder.type();
    if ((*reduction == 2) != (type == Type::kU32)) builder.malformed(".popc is .u32, the others are .pred");
    operation.r[2] = *reduction == 2 ? builder.destination(at, 4) : builder.predicate_destination(builder.operand(at));
    ++at;
  }
  const std::size_t tail = *kind == 2 ? 1 : 0;
  builder.expect_operands(at + 1 + tail, at + 2 + tail);
  operation.r[0] = builder.source(at++, Type::kU32);
  if (builder.operands() - at > tail) operation.r[1] = builder.source(at++, Type::kU32);
  if (*kind == 1 && operation.r[1] == kNoRef) builder.malformed("an arrival needs a count");
  if (tail != 0) operation.r[3] = builder.predicate_source(builder.operand(at));
  operation.run = run_barrier;
  builder.statistics_class("bar");
}

// --- special registers -----------------------------------------------------------------------------------------------

/// Of reserved shared memory, the place for the groups of cooperative_groups.h that are larger than a warp.
constexpr std::uint32_t kGroupsOffset = kReservedSharedBytes / 2;

std::size_t axis_of(SpecialRegister which, SpecialRegister first) {
  return static_cast<std::size_t>(which) - static_cast<std::size_t>(first);
}

std::uint64_t special_value(const Warp& warp, SpecialRegister which, std::uint32_t lane) {
  const Launch& launch = *warp.launch;
  const std::uint32_t* block = launch.shape.block;
  const std::uint32_t* grid = launch.shape.grid;
  const std::uint32_t* cluster = launch.shape.cluster;
  const std::uint32_t thread = warp.index * kLanes + lane;
  const std::uint32_t bit = 1u << lane;
  const std::uint32_t own_shared = launch.shared_bytes - launch.kernel->reserved_shared_bytes;
  switch (which) {
    case SpecialRegister::kTidX:
      return thread % block[0];
    case SpecialRegister::kTidY:
      return thread / block[0] % block[1];
    case SpecialRegister::kTidZ:
      return thread / block[0] / block[1];
    case SpecialRegister::kNtidX:
      return block[0];
    case SpecialRegister::kNtidY:
      return block[1];
    case SpecialRegister::kNtidZ:
      return block[2];
    case SpecialRegister::kCtaidX:
      return warp.cta->id[0];
    case SpecialRegister::kCtaidY:
      return warp.cta->id[1];
    case SpecialRegister::kCtaidZ:
      return warp.cta->id[2];
    case SpecialRegister::kNctaidX:
      return grid[0];
    case SpecialRegister::kNctaidY:
      return grid[1];
    case SpecialRegister::kNctaidZ:
      return grid[2];
    case SpecialRegister::kLaneid:
      return lane;
    case SpecialRegister::kWarpid:
      return warp.index;
    case SpecialRegister::kNwarpid:
      return warp.cta->warps.size();
    case SpecialRegister::kSmid:
      return warp.cta->place;
    case SpecialRegister::kClusteridX:
    case SpecialRegister::kClusteridY:
    case SpecialRegister::kClusteridZ:
      return warp.cta->cluster->id[axis_of(which, SpecialRegister::kClusteridX)];
    case SpecialRegister::kNclusteridX:
    case SpecialRegister::kNclusteridY:
    case SpecialRegister::kNclusteridZ: {
      const std::size_t axis = axis_of(which, SpecialRegister::kNclusteridX);
      return grid[axis] / cluster[axis];
    }
    case SpecialRegister::kClusterCtaidX:
    case SpecialRegister::kClusterCtaidY:
    case SpecialRegister::kClusterCtaidZ: {
      const std::size_t axis = axis_of(which, SpecialRegister::kClusterCtaidX);
      return warp.cta->id[axis] % cluster[axis];
    }
    case SpecialRegister::kClusterNctaidX:
    case SpecialRegister::kClusterNctaidY:
    case SpecialRegister::kClusterNctaidZ:
      return cluster[axis_of(which, SpecialRegister::kClusterNctaidX)];
    case SpecialRegister::kClusterCtarank:
      return warp.cta->rank;
    case SpecialRegister::kClusterNctarank:
      return warp.cta->cluster->ctas.size();
    case SpecialRegister::kNsmid:
      return launch.resident.size();
    case SpecialRegister::kGridid:
      return 0;
    case SpecialRegister::kClock:
    case SpecialRegister::kClock64:
    case SpecialRegister::kGlobaltimer:
      return launch.instructions + launch.clock_reads;
    case SpecialRegister::kDynamicSharedSize:
      return launch.shape.dynamic_shared_bytes;
    case SpecialRegister::kTotalSharedSize:
      return own_shared;
    case SpecialRegister::kAggregateSharedSize:
      return own_shared + kReservedSharedBytes;
    case SpecialRegister::kReservedSharedBegin:
    case SpecialRegister::kReservedShared0:
      return 0;
    case SpecialRegister::kReservedShared1:
      return kGroupsOffset;
    case SpecialRegister::kReservedSharedEnd:
    case SpecialRegister::kReservedSharedSize:
      return kReservedSharedBytes;
    case SpecialRegister::kGridWorkspaceHigh:
      return launch.grid_workspace >> 32;
    case SpecialRegister::kGridWorkspaceLow:
      return launch.grid_workspace & 0xffffffff;
    case SpecialRegister::kLanemaskEq:
      return bit;
    case SpecialRegister::kLanemaskLe:
      return bit | (bit - 1);
    case SpecialRegister::kLanemaskLt:
      return bit - 1;
    case SpecialRegister::kLanemaskGe:
      return ~(bit - 1);
    case SpecialRegister::kLanemaskGt:
      return ~(bit | (bit - 1));
  }
  return 0;
}

void read_special(Warp& warp, const Operation& operation) {
  // Time passes when somebody looks at it.
  ++warp.launch->clock_reads;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const std::uint64_t value = special_value(warp, static_cast<SpecialRegister>(operation.mode), lane);
    if (operation.size == 2) warp.lanes<std::uint16_t>(operation.r[0])[lane] = static_cast<std::uint16_t>(value);
    if (operation.size == 4) warp.lanes<std::uint32_t>(operation.r[0])[lane] = static_cast<std::uint32_t>(value);
    if (operation.size == 8) warp.lanes<std::uint64_t>(operation.r[0])[lane] = value;
  }
}

void read_variable_address(Warp& warp, const Operation& operation) {
  const std::uint64_t address = warp.launch->variable_addresses[operation.immediate];
  std::uint64_t* d = warp.lanes<std::uint64_t>(operation.r[0]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) != 0) d[lane] = address;
  }
}

}  // namespace

std::optional<SpecialRegister> special_register_named(std::string_view name) {
  static constexpr std::string_view kNames[] = {"%tid.x",
                                                "%tid.y",
                                                "%tid.z",
                                                "%ntid.x",
                                                "%ntid.y",
                                                "%ntid.z",
                                                "%ctaid.x",
                                                "%ctaid.y",
                                                "%ctaid.z",
                                                "%nctaid.x",
                                                "%nctaid.y",
                                                "%nctaid.z",
                                                "%laneid",
                                                "%warpid",
                                                "%nwarpid",
                                                "%smid",
                                                "%nsmid",
                                                "%gridid",
                                                "%clock",
                                                "%clock64",
                                                "%globaltimer",
                                                "%dynamic_smem_size",
                                                "%total_smem_size",
                                                "%aggr_smem_size",
                                                "%reserved_smem_offset_begin",
                                                "%reserved_smem_offset_end",
                                                "%reserved_smem_offset_cap",
                                                "%reserved_smem_offset_0",
                                                "%reserved_smem_offset_1",
                                                "%envreg1",
                                                "%envreg2",
                                                "%lanemask_eq",
                                                "%lanemask_le",
                                                "%lanemask_lt",
                                                "%lanemask_ge",
                                                "%lanemask_gt",
                                                "%clusterid.x",
                                                "%clusterid.y",
                                                "%clusterid.z",
                                                "%nclusterid.x",
                                                "%nclusterid.y",
                                                "%nclusterid.z",
                                                "%cluster_ctaid.x",
                                                "%cluster_ctaid.y",
                                                "%cluster_ctaid.z",
                                                "%cluster_nctaid.x",
                                                "%cluster_nctaid.y",
                                                "%cluster_nctaid.z",
                                                "%cluster_ctarank",
                                                "%cluster_nctarank"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<SpecialRegister>(i);
  }
  return std::nullopt;
}

Handler special_register_handler() {
  return read_special;
}
Handler variable_address_handler() {
  return read_variable_address;
}
Handler branch_handler() {
  return run_branch;
}
Handler exit_handler() {
  return run_exit;
}

void add_control(LowerTable& table) {
  table["bra"] = lower_bra;
  table["brx"] = lower_brx;
  table["ret"] = lower_exit;
  table["exit"] = lower_exit;
  table["trap"] = lower_trap;
  table["nanosleep"] = lower_nanosleep;
  table["bar"] = lower_bar;
  table["barrier"] = lower_bar;
}

}  // namespace flashmask::emulator
