#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/core/ownership.h"
#include "emulator/machine/core/race_check.h"
#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Space;
using ptx::Type;

/// The bytes that a copy will read: all of them must be there, though none is loaded yet.
Allocation& readable_source(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes) {
  // Byte by byte: a partial source may end anywhere.
  for (std::uint32_t i = 0; i < bytes;) {
    const std::uint32_t step = bytes - i >= 4 ? 4 : 1;
    require_readable_global(warp, lane, address + i, step);
    i += step;
  }
  return *warp.launch->memory->find(address, bytes);
}

/// Lets the copy own its bytes: the destination through the shadow, the source through the allocation's count.
void claim(Warp& warp, std::uint32_t lane, const AsyncCopy& copy) {
  const std::uint32_t offset = copy.destination[lane];
  const std::uint32_t bytes = copy.bytes;
  if (offset % bytes != 0) {
    warp.fault(Fault::Kind::kMisaligned, lane,
               fmt::format("misaligned: the destination shared+{:#x} is not a multiple of {}", offset, bytes));
  }
  if (std::uint64_t{offset} + bytes > warp.launch->shared_bytes) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("out of bounds: it writes {} bytes at shared+{:#x}; the space ends at {:#x}", bytes, offset,
                           warp.launch->shared_bytes));
  }
  if (copy.source_bytes[lane] > bytes) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("the source has {} bytes, more than the {} of the copy", copy.source_bytes[lane], bytes));
  }
  if (copy.source_bytes[lane] != 0) {
    if (copy.source[lane] % bytes != 0) {
      warp.fault(Fault::Kind::kMisaligned, lane,
                 fmt::format("misaligned: the source {:#x} is not a multiple of {}", copy.source[lane], bytes));
    }
    Allocation& source = readable_source(warp, lane, copy.source[lane], copy.source_bytes[lane]);
    if (warp.launch->races) {
      check_global(warp, lane, 1u << lane, source, copy.source[lane], copy.source_bytes[lane], 0, Keep::kNo);
    }
    source.pending_reads.add(copy.source[lane] - source.base, copy.source_bytes[lane]);
    warp.launch->statistics.global_bytes_read += copy.source_bytes[lane];
  }
  auto* shadow = reinterpret_cast<std::uint8_t*>(warp.cta->shared_shadow.data()) + offset;
  const auto what = [&] { return fmt::format("it writes {} bytes at shared+{:#x}", bytes, offset); };
  if (!none_owned(shadow, bytes)) {
    if ((*shadow & kObject) != 0) warp.fault(Fault::Kind::kMbarrier, lane, what() + ", where an mbarrier is");
    fault_being_written(warp, lane, *warp.cta, offset, bytes, what());
  }
  if (is_being_read(*warp.cta, offset, bytes)) fault_being_read(warp, lane, *warp.cta, offset, bytes, what());
  if (warp.launch->races) check_shared(warp, lane, 1u << lane, *warp.cta, offset, bytes, kWrites, Keep::kNo);
  std::memset(shadow, kPendingWrite, bytes);
  warp.launch->statistics.shared_bytes_written += bytes;
}

/// r = destination (64 bits wide with `flags` bit 0; plus second_offset), source size, ignore predicate; address =
/// source.
void cp_async(Warp& warp, const Operation& operation) {
  AsyncCopy copy;
  copy.line = operation.line;
  copy.operation = static_cast<std::uint32_t>(&operation - warp.launch->kernel->code.data());
  copy.bytes = operation.size;
  lane_addresses(warp, operation, copy.source.data());
  const std::uint32_t ignored = operation.r[2] == kNoRef ? 0 : warp.predicate(operation.r[2]);
  std::uint64_t offsets[kLanes];
  // Lanes are claimed one by one, so that two lanes that write the same bytes meet.
  warp.copies.emplace_back(copy);
  AsyncCopy& issued = warp.copies.back();
  ++warp.cta->async_copies_in_flight;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    // Offsets may be negative: a 32-bit sum wraps.
    std::uint64_t destination = (operation.flags & 1) != 0
                                    ? warp.lanes<std::uint64_t>(operation.r[0])[lane] +
                                          static_cast<std::uint64_t>(static_cast<std::int32_t>(operation.second_offset))
                                    : warp.lanes<std::uint32_t>(operation.r[0])[lane] + operation.second_offset;
    if (destination >= kSharedWindow && destination < kSharedWindow + kWindowBytes) destination -= kSharedWindow;
    if (destination >= kWindowBytes) {
      warp.fault(Fault::Kind::kOutOfBounds, lane,
                 fmt::format("the destination {:#x} is not in shared memory", destination));
    }
    issued.destination[lane] = static_cast<std::uint32_t>(destination);
    offsets[lane] = destination;
    issued.source_bytes[lane] = operation.r[1] == kNoRef ? copy.bytes : warp.lanes<std::uint32_t>(operation.r[1])[lane];
    if ((ignored >> lane & 1) != 0) issued.source_bytes[lane] = 0;
    issued.group[lane] = warp.committed[lane];
    claim(warp, lane, issued);
    issued.mask |= 1u << lane;
  }
  count_conflicts(*warp.launch, warp.mask, offsets, copy.bytes);
}

void commit(Warp& warp, const Operation&) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) != 0) ++warp.committed[lane];
  }
}

/// immediate = groups that may stay in flight; mode 1 = wait for everything, committed or not.
void wait(Warp& warp, const Operation& operation) {
  complete_copies(warp, warp.mask, operation.immediate, operation.mode != 0);
}

void lower_copy(Builder& builder) {
  const bool bypasses = builder.take("cg");
  if (!bypasses && !builder.take("ca")) builder.malformed(".ca or .cg is missing");
  if (builder.space_or_generic() != Space::kShared || builder.space_or_generic() != Space::kGlobal) {
    builder.unsupported("a copy from .global to .shared is known");
  }
  builder.take_cache_hints();
  builder.expect_operands(3, 4);
  const std::uint64_t bytes = builder.integer(2);
  if (bytes != 16 && (bypasses || (bytes != 4 && bytes != 8))) {
    builder.malformed(bypasses ? "the size of .cg is 16 bytes" : "the size is 4, 8 or 16 bytes");
  }
  Operation& operation = builder.operation;
  // The destination first: both are addresses, and the fields of the operation are for the source.
  builder.address(0, Space::kShared);
  operation.flags = operation.wide != 0 ? 1 : 0;
  operation.r[0] = operation.address;
  operation.second_offset = static_cast<std::uint32_t>(operation.immediate);
  builder.address(1, Space::kGlobal);
  operation.size = static_cast<std::uint8_t>(bytes);
  if (builder.operands() == 4) {
    const ptx::Operand& last = builder.operand(3);
    const bool is_predicate = last.kind == ptx::Operand::Kind::kRegister && builder.register_size(last) == 0;
    if (is_predicate) {
      operation.r[2] = builder.predicate_source(last);
    } else {
      operation.r[1] = builder.source(3, Type::kU32);
    }
  }
  operation.run = cp_async;
  builder.statistics_class("cp.async");
}

void lower_cp(Builder& builder) {
  if (!builder.take("async")) builder.unsupported("cp.async is known");
  if (builder.take("bulk")) return lower_bulk(builder);
  if (builder.take("mbarrier")) return lower_copy_arrival(builder);
  builder.statistics_class("cp.async.wait");
  if (builder.take("commit_group")) {
    builder.expect_operands(0);
    builder.operation.run = commit;
  } else if (builder.take("wait_group")) {
    builder.expect_operands(1);
    builder.operation.immediate = builder.integer(0);
    builder.operation.run = wait;
  } else if (builder.take("wait_all")) {
    builder.expect_operands(0);
    builder.operation.mode = 1;
    builder.operation.run = wait;
  } else {
    lower_copy(builder);
  }
}

}  // namespace

void add_copies(LowerTable& table) {
  table["cp"] = lower_cp;
}

}  // namespace flashmask::emulator
