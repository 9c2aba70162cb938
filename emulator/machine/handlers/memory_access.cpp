#include "emulator/machine/handlers/memory_access.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/ownership.h"
#include "emulator/machine/core/race_check.h"

namespace flashmask::emulator {
namespace {

using ptx::Space;

const char* verb(Access access) {
  return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "changes";
}

[[noreturn, gnu::noinline]] void fault_bounds(Warp& warp, std::uint32_t lane, Space space, std::uint64_t address,
                                              std::uint32_t bytes, Access access, std::uint64_t limit) {
  std::string where;
  if (space == Space::kGlobal) {
    where = fmt::format("the global address {:#x}: {}", address, warp.launch->memory->describe(address));
  } else {
    where = fmt::format("{}+{:#x}; the space ends at {:#x}", ptx::name_of(space), address, limit);
  }
  warp.fault(Fault::Kind::kOutOfBounds, lane,
             fmt::format("out of bounds: it {} {} bytes at {}", verb(access), bytes, where));
}

[[noreturn, gnu::noinline]] void fault_alignment(Warp& warp, std::uint32_t lane, Space space, std::uint64_t address,
                                                 std::uint32_t alignment, Access access) {
  warp.fault(Fault::Kind::kMisaligned, lane,
             fmt::format("misaligned: it {} at {} address {:#x}, which is not a multiple of {}", verb(access),
                         ptx::name_of(space), address, alignment));
}

/// The flags say no. Returns when a reduction in flight meets an atomic, which is no conflict.
[[gnu::noinline]] void judge_shadow(Warp& warp, std::uint32_t lane, Space space, const Cta* cta, std::uint64_t address,
                                    std::uint32_t bytes, const std::uint8_t* shadow, Access access) {
  const auto what = [&] {
    return fmt::format("it {} {} bytes at {}+{:#x}", verb(access), bytes, ptx::name_of(space), address);
  };
  const bool strong = (warp.operation->access & kStrong) != 0;
  for (std::uint32_t i = 0; i < bytes; ++i) {
    if ((shadow[i] & kObject) != 0) {
      warp.fault(Fault::Kind::kMbarrier, lane,
                 what() + ", where an mbarrier is: only mbarrier operations may touch it until mbarrier.inval");
    }
    const bool reduced = (shadow[i] & kPendingReduction) != 0;
    if ((shadow[i] & kPendingWrite) != 0 || (reduced && !strong)) {
      if (space == Space::kShared) fault_being_written(warp, lane, *cta, address + i, 1, what());
      const BulkCopy* copy = owner_of(*warp.launch, nullptr, address + i, 1);
      const std::string owner = copy == nullptr ? "" : "; that one is\n  " + describe(*warp.launch, *copy);
      warp.fault(Fault::Kind::kPending, lane,
                 fmt::format("{}, which an asynchronous {} in flight will write{}\nand this access is", what(),
                             reduced ? "reduction" : "copy", owner));
    }
  }
  if (access == Access::kWrite) return;
  std::uint32_t first = 0;
  while (first < bytes && (shadow[first] & kWritten) != 0) ++first;
  if (first == bytes) return;
  const std::string detail = space == Space::kGlobal ? " (" + warp.launch->memory->describe(address) + ")" : "";
  warp.fault(Fault::Kind::kUninitialised, lane,
             fmt::format("uninitialised: it {} {} bytes at {} address {:#x}{}, of which byte {} was never written",
                         verb(access), bytes, ptx::name_of(space), address, detail, first));
}

/// Which space a generic address belongs to; `address` becomes the offset in it.
Space resolve_generic(std::uint64_t& address) {
  const std::uint64_t window = address / kWindowBytes * kWindowBytes;
  const auto inside = [&](Space space) {
    address -= window;
    return space;
  };
  if (window == kSharedWindow) return inside(Space::kSharedCluster);
  if (window == kLocalWindow) return inside(Space::kLocal);
  if (window == kParamWindow) return inside(Space::kParam);
  return Space::kGlobal;
}

}  // namespace

void lane_addresses(const Warp& warp, const Operation& operation, std::uint64_t* addresses) {
  if (operation.wide != 0) {
    const std::uint64_t* base = warp.lanes<std::uint64_t>(operation.address);
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) addresses[lane] = base[lane] + operation.immediate;
  } else {
    const std::uint32_t* base = warp.lanes<std::uint32_t>(operation.address);
    const auto offset = static_cast<std::uint32_t>(operation.immediate);
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) addresses[lane] = base[lane] + offset;
  }
}

SharedPlace resolve_shared(Warp& warp, std::uint32_t lane, std::uint64_t address) {
  if (address >= kSharedWindow && address < kSharedWindow + kWindowBytes) address -= kSharedWindow;
  const std::uint64_t rank = address >> kRankShift;
  const std::vector<Cta*>& ctas = warp.cta->cluster->ctas;
  if (rank > ctas.size()) {
    warp.fault(
        Fault::Kind::kOutOfBounds, lane,
        fmt::format("out of bounds: the address {:#x} is not in the shared memory of a CTA of the cluster", address));
  }
  return {rank == 0 ? warp.cta : ctas[rank - 1], static_cast<std::uint32_t>(address & ((1u << kRankShift) - 1))};
}

SharedPlace shared_place(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes) {
  const SharedPlace place = resolve_shared(warp, lane, address);
  if (place.cta->live_warps == 0) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("the shared memory of CTA ({},{},{}) is gone: all of its threads have exited; a barrier of "
                           "the cluster must keep them until the last access",
                           place.cta->id[0], place.cta->id[1], place.cta->id[2]));
  }
  if (place.offset > warp.launch->shared_bytes || bytes > warp.launch->shared_bytes - place.offset) {
    fault_bounds(warp, lane, Space::kShared, place.offset, bytes, Access::kReadWrite, warp.launch->shared_bytes);
  }
  return place;
}

Place locate(Warp& warp, std::uint32_t lane, Space space, std::uint64_t address, std::uint32_t bytes,
             std::uint32_t alignment, Access access, std::uint32_t lanes) {
  if (space == Space::kGeneric) space = resolve_generic(address);
  Cta* cta = warp.cta;
  if (space == Space::kSharedCluster) {
    const SharedPlace found = shared_place(warp, lane, address, bytes);
    cta = found.cta;
    address = found.offset;
    space = Space::kShared;
  }
  if ((address & (alignment - 1)) != 0) fault_alignment(warp, lane, space, address, alignment, access);
  Place place;
  Allocation* allocation = nullptr;
  const auto check_limit = [&](std::uint64_t limit) {
    if (address > limit || bytes > limit - address) fault_bounds(warp, lane, space, address, bytes, access, limit);
  };
  switch (space) {
    case Space::kShared:
      check_limit(warp.launch->shared_bytes);
      place.data = cta->shared.data() + address;
      place.shadow = reinterpret_cast<std::uint8_t*>(cta->shared_shadow.data()) + address;
      place.shared = true;
      place.key = shared_location(*cta, address);
      if (access != Access::kRead && is_being_read(*cta, static_cast<std::uint32_t>(address), bytes)) {
        fault_being_read(warp, lane, *cta, static_cast<std::uint32_t>(address), bytes,
                         fmt::format("it {} {} bytes at shared+{:#x}", verb(access), bytes, address));
      }
      break;
    case Space::kLocal: {
      const std::uint32_t limit = warp.launch->kernel->local_bytes;
      check_limit(limit);
      place.data = warp.local + std::size_t{limit} * lane + address;
      place.shadow = warp.local_shadow + std::size_t{limit} * lane + address;
      break;
    }
    case Space::kParam:
      check_limit(warp.launch->parameter_bytes);
      if (access != Access::kRead) {
        warp.fault(Fault::Kind::kOutOfBounds, lane, "parameters cannot be written");
      }
      // Reading only: see above.
      place.data = const_cast<std::byte*>(warp.launch->parameters) + address;
      return place;
    default: {
      allocation = warp.launch->memory->find(address, bytes);
      if (allocation == nullptr) fault_bounds(warp, lane, Space::kGlobal, address, bytes, access, 0);
      place.data = allocation->data + (address - allocation->base);
      place.shadow = allocation->shadow + (address - allocation->base);
      place.global = true;
      place.key = address;
      if (access != Access::kRead && allocation->pending_reads.near(address - allocation->base, bytes))
        check_pending_reads(warp, lane, address, bytes);
      break;
    }
  }
  const Space named = space == Space::kConst ? Space::kGlobal : space;
  if (access == Access::kWrite) {
    if (!none_owned(place.shadow, bytes)) judge_shadow(warp, lane, named, cta, address, bytes, place.shadow, access);
    // A reduction in flight keeps its bytes when an atomic store meets them.
    for (std::uint32_t i = 0; i < bytes; ++i) place.shadow[i] = (place.shadow[i] & kPendingReduction) | kWritten;
  } else if (!all_readable(place.shadow, bytes)) {
    judge_shadow(warp, lane, named, cta, address, bytes, place.shadow, access);
  }
  if (warp.launch->races) {
    const std::uint32_t flags = warp.operation->access | (access == Access::kRead ? 0u : std::uint32_t{kWrites});
    const std::uint32_t who = lanes != 0 ? lanes : 1u << lane;
    if (place.shared) {
      check_shared(warp, lane, who, *cta, static_cast<std::uint32_t>(address), bytes, flags, Keep::kYes);
    } else if (place.global) {
      check_global(warp, lane, who, *allocation, address, bytes, flags, Keep::kYes);
    }
  }
  return place;
}

void require_readable_global(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes) {
  const Allocation* allocation = warp.launch->memory->find(address, bytes);
  if (allocation == nullptr) fault_bounds(warp, lane, Space::kGlobal, address, bytes, Access::kRead, 0);
  const std::uint8_t* shadow = allocation->shadow + (address - allocation->base);
  if (all_readable(shadow, bytes)) return;
  judge_shadow(warp, lane, Space::kGlobal, nullptr, address, bytes, shadow, Access::kRead);
}

const std::byte* require_readable_shared(Warp& warp, std::uint32_t lane, std::uint32_t offset, std::uint32_t bytes) {
  const std::uint32_t limit = warp.launch->shared_bytes;
  if (offset > limit || bytes > limit - offset) {
    fault_bounds(warp, lane, Space::kShared, offset, bytes, Access::kRead, limit);
  }
  const auto* shadow = reinterpret_cast<const std::uint8_t*>(warp.cta->shared_shadow.data()) + offset;
  if (!all_readable(shadow, bytes)) {
    judge_shadow(warp, lane, Space::kShared, warp.cta, offset, bytes, shadow, Access::kRead);
  }
  return warp.cta->shared.data() + offset;
}

void order_access(Warp& warp, std::uint32_t lane, const Place& place, Access access) {
  const Operation& operation = *warp.operation;
  if ((operation.access & kStrong) == 0 || place.key == 0) return;
  warp.launch->turns->visible(warp);
  if (!warp.launch->races) return;
  StrongAccess strong;
  strong.acquires = (operation.order & kAcquires) != 0;
  strong.releases = (operation.order & kReleases) != 0;
  strong.observes = access == Access::kRead || (access == Access::kReadWrite && operation.r[0] != kNoRef);
  strong.writes = access != Access::kRead;
  strong.replaces = access == Access::kWrite;
  strong.scope = static_cast<Scope>((operation.access & kScopeBits) >> kScopeShift);
  strong_access(warp, lane, place.key, strong);
}

void count_conflicts(Launch& launch, std::uint32_t mask, const std::uint64_t* offsets, std::uint32_t bytes) {
  // 32 banks of 4 bytes: wide accesses go by half or quarter warps, so that one pass may touch every bank once.
  const std::uint32_t words = std::max(1u, bytes / 4);
  const std::uint32_t group = kLanes / words;
  for (std::uint32_t first = 0; first < kLanes; first += group) {
    // Distinct words wanted from each bank. Within a group a bank's word is mostly wanted once.
    std::uint64_t wanted[kLanes][kLanes];
    std::uint8_t count[kLanes] = {};
    std::uint32_t passes = 1;
    for (std::uint32_t lane = first; lane < first + group; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      const std::uint64_t word = offsets[lane] / (4 * words);
      const std::uint64_t bank = word % (kLanes / words);
      bool known = false;
      for (std::uint32_t i = 0; i < count[bank] && !known; ++i) known = wanted[bank][i] == word;
      if (known) continue;
      wanted[bank][count[bank]++] = word;
      passes = std::max<std::uint32_t>(passes, count[bank]);
    }
    launch.statistics.shared_bank_conflicts += passes - 1;
  }
}

}  // namespace flashmask::emulator
