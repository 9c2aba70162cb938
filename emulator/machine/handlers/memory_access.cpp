#include "emulator/machine/handlers/memory_access.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

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

[[noreturn, gnu::noinline]] void fault_shadow(Warp& warp, std::uint32_t lane, Space space, std::uint64_t address,
                                              std::uint32_t bytes, const std::uint8_t* shadow, Access access) {
  for (std::uint32_t i = 0; i < bytes; ++i) {
    if ((shadow[i] & kPendingWrite) != 0) {
      fault_pending(warp, lane, address + i, 1,
                    fmt::format("it {} {} bytes at shared+{:#x}", verb(access), bytes, address));
    }
  }
  std::uint32_t first = 0;
  while (first < bytes && (shadow[first] & kWritten) != 0) ++first;
  const std::string detail = space == Space::kGlobal ? " (" + warp.launch->memory->describe(address) + ")" : "";
  warp.fault(Fault::Kind::kUninitialised, lane,
             fmt::format("uninitialised: it {} {} bytes at {} address {:#x}{}, of which byte {} was never written",
                         verb(access), bytes, ptx::name_of(space), address, detail, first));
}

/// A write to bytes that asynchronous copies still read: rare, so all of them are looked at.
[[gnu::noinline]] void check_pending_reads(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes) {
  for (Cta* cta : warp.launch->resident) {
    if (cta == nullptr) continue;
    for (const Warp& other : cta->warps) {
      for (const AsyncCopy& copy : other.copies) {
        for (std::uint32_t i = 0; i < kLanes; ++i) {
          const bool live = (copy.mask >> i & 1) != 0 && copy.source_bytes[i] != 0;
          if (!live || copy.source[i] >= address + bytes || address >= copy.source[i] + copy.source_bytes[i]) continue;
          warp.fault(
              Fault::Kind::kPending, lane,
              fmt::format("it writes {} bytes at the global address {:#x}, which an asynchronous copy of {} still "
                          "reads; that copy is\n  {}",
                          bytes, address, place_of(other, i), warp.launch->program->quote(copy.line)));
        }
      }
    }
  }
}

/// Which space a generic address belongs to; `address` becomes the offset in it.
Space resolve_generic(std::uint64_t& address) {
  const std::uint64_t window = address / kWindowBytes * kWindowBytes;
  const auto inside = [&](Space space) {
    address -= window;
    return space;
  };
  if (window == kSharedWindow) return inside(Space::kShared);
  if (window == kLocalWindow) return inside(Space::kLocal);
  if (window == kParamWindow) return inside(Space::kParam);
  return Space::kGlobal;
}

}  // namespace

void fault_pending(Warp& warp, std::uint32_t lane, std::uint64_t offset, std::uint32_t bytes, const std::string& what) {
  for (const Warp& other : warp.cta->warps) {
    for (const AsyncCopy& copy : other.copies) {
      for (std::uint32_t i = 0; i < kLanes; ++i) {
        if ((copy.mask >> i & 1) == 0) continue;
        if (copy.destination[i] >= offset + bytes || offset >= std::uint64_t{copy.destination[i]} + copy.bytes)
          continue;
        warp.fault(
            Fault::Kind::kPending, lane,
            fmt::format("{}, which an asynchronous copy of {} still owns until that thread waits for it; that copy "
                        "is\n  {}\nand this access is",
                        what, place_of(other, i), warp.launch->program->quote(copy.line)));
      }
    }
  }
  warp.fault(Fault::Kind::kPending, lane, what + ", which an asynchronous copy still owns");
}

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

Place locate(Warp& warp, std::uint32_t lane, Space space, std::uint64_t address, std::uint32_t bytes,
             std::uint32_t alignment, Access access) {
  if (space == Space::kGeneric) space = resolve_generic(address);
  if ((address & (alignment - 1)) != 0) fault_alignment(warp, lane, space, address, alignment, access);
  Place place;
  const auto check_limit = [&](std::uint64_t limit) {
    if (address > limit || bytes > limit - address) fault_bounds(warp, lane, space, address, bytes, access, limit);
  };
  switch (space) {
    case Space::kShared:
      check_limit(warp.launch->shared_bytes);
      place.data = warp.cta->shared.data() + address;
      place.shadow = reinterpret_cast<std::uint8_t*>(warp.cta->shared_shadow.data()) + address;
      place.shared = true;
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
      Allocation* allocation = warp.launch->memory->find(address, bytes);
      if (allocation == nullptr) fault_bounds(warp, lane, Space::kGlobal, address, bytes, access, 0);
      place.data = allocation->data + (address - allocation->base);
      place.shadow = allocation->shadow + (address - allocation->base);
      place.global = true;
      if (access != Access::kRead && allocation->pending_reads != 0) check_pending_reads(warp, lane, address, bytes);
      break;
    }
  }
  if (access == Access::kWrite) {
    if (!none_pending(place.shadow, bytes)) fault_shadow(warp, lane, space, address, bytes, place.shadow, access);
    std::memset(place.shadow, kWritten, bytes);
  } else if (!all_readable(place.shadow, bytes)) {
    fault_shadow(warp, lane, space == Space::kConst ? Space::kGlobal : space, address, bytes, place.shadow, access);
  }
  return place;
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
