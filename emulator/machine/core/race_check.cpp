#include "emulator/machine/core/race_check.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// Readers of a granule of global memory that are remembered; inputs are read by every CTA, and by no writer.
constexpr std::uint32_t kMostGlobalReaders = 8;
constexpr std::uint64_t kPageBytes = 1u << 14;

template <class Visit>
void each_page(Allocation& allocation, std::uint64_t address, std::uint64_t bytes, Visit visit) {
  std::uint64_t offset = address - allocation.base;
  if (allocation.races.empty()) allocation.races.resize(allocation.bytes / kPageBytes + 1);
  while (bytes != 0) {
    std::unique_ptr<RaceShadow>& page = allocation.races[offset / kPageBytes];
    if (!page) page = std::make_unique<RaceShadow>(kPageBytes, kMostGlobalReaders);
    const std::uint64_t within = offset % kPageBytes;
    const std::uint64_t here = std::min(bytes, kPageBytes - within);
    visit(*page, within, here);
    offset += here;
    bytes -= here;
  }
}

bool apply(RaceShadow& races, std::uint64_t offset, std::uint64_t bytes, const Accessor& by, Keep keep,
           Conflict& conflict) {
  return keep == Keep::kYes ? races.access(offset, bytes, by, conflict) : races.check(offset, bytes, by, conflict);
}

}  // namespace

void check_shared(const Warp& warp, std::uint32_t lane, std::uint32_t lanes, Cta& cta, std::uint32_t offset,
                  std::uint32_t bytes, std::uint32_t flags, Keep keep) {
  const Accessor by = accessor_of(warp, lanes, flags, kSharedMemory);
  Conflict conflict;
  if (apply(cta.races, offset, bytes, by, keep, conflict)) return;
  fault_conflict(warp, lane, by, conflict, fmt::format("{} bytes at shared+{:#x}", bytes, offset));
}

void check_global(const Warp& warp, std::uint32_t lane, std::uint32_t lanes, Allocation& allocation,
                  std::uint64_t address, std::uint64_t bytes, std::uint32_t flags, Keep keep) {
  const Accessor by = accessor_of(warp, lanes, flags, kGlobalMemory);
  each_page(allocation, address, bytes, [&](RaceShadow& races, std::uint64_t offset, std::uint64_t here) {
    Conflict conflict;
    if (apply(races, offset, here, by, keep, conflict)) return;
    fault_conflict(warp, lane, by, conflict,
                   fmt::format("{} bytes at the global address {:#x} ({})", bytes, address,
                               warp.launch->memory->describe(address)));
  });
}

void check_shared_reads(const Warp& warp, Cta& cta, std::span<const std::uint32_t> granules, std::uint32_t flags) {
  constexpr std::uint32_t kBytes = RaceShadow::kGranule;
  const Accessor by = accessor_of(warp, kAllLanes, flags, kSharedMemory);
  Conflict conflict;
  for (const std::uint32_t granule : granules) {
    if (cta.races.check(granule * kBytes, kBytes, by, conflict)) continue;
    fault_conflict(warp, 0, by, conflict, fmt::format("{} bytes at shared+{:#x}", kBytes, granule * kBytes));
  }
}

bool is_ordered_shared(const Warp& warp, std::uint32_t lanes, Cta& cta, std::uint32_t offset, std::uint32_t bytes,
                       std::uint32_t flags) {
  Conflict conflict;
  return cta.races.check(offset, bytes, accessor_of(warp, lanes, flags, kSharedMemory), conflict);
}

void check_remote_accesses(Warp& last) {
  Cta& cta = *last.cta;
  if (cta.cluster->ctas.size() == 1) return;
  Order known(cta.first_agent, cta.agents);
  for (Warp& warp : cta.warps) release(warp, kAllLanes, known);
  const Launch& launch = *last.launch;
  cta.races.each_access([&](std::uint64_t offset, const AccessRecord& access) {
    const bool own = access.agent - cta.first_agent < cta.agents;
    if (own || known.known.covers(access.agent, access.lanes, access.clock)) return;
    last.fault(Fault::Kind::kRace, static_cast<std::uint32_t>(std::countr_zero(last.mask)),
               fmt::format("race: the CTA ends, and nothing orders that after a {} at shared+{:#x} by {}:\n  {}\nwhat "
                           "would order them: a barrier of the cluster after the last access to the CTA\nand the CTA "
                           "ends with",
                           access.writes() ? "write" : "read", offset, launch.name_of(access.agent, access.lanes),
                           launch.program->quote(launch.kernel->code[access.operation()].line)));
  });
}

void keep_shared_write(Cta& cta, std::uint32_t offset, std::uint32_t bytes, const AccessRecord& record) {
  cta.races.set_written(offset, bytes, record);
}

void keep_global_write(Allocation& allocation, std::uint64_t address, std::uint64_t bytes, const AccessRecord& record) {
  each_page(allocation, address, bytes, [&](RaceShadow& races, std::uint64_t offset, std::uint64_t here) {
    races.set_written(offset, here, record);
  });
}

void keep_shared_read(Cta& cta, std::uint32_t offset, std::uint32_t bytes, const Warp& warp,
                      const AccessRecord& record) {
  Accessor by = accessor_of(warp, record.lanes, 0, kSharedMemory);
  by.record = record;
  cta.races.keep(offset, bytes, by);
}

void keep_shared_reads(Cta& cta, std::span<const std::uint32_t> granules, const Warp& warp,
                       const AccessRecord& record) {
  constexpr std::uint32_t kBytes = RaceShadow::kGranule;
  Accessor by = accessor_of(warp, record.lanes, 0, kSharedMemory);
  by.record = record;
  for (const std::uint32_t granule : granules) cta.races.keep(granule * kBytes, kBytes, by);
}

void keep_global_read(Allocation& allocation, std::uint64_t address, std::uint64_t bytes, const Warp& warp,
                      const AccessRecord& record) {
  Accessor by = accessor_of(warp, record.lanes, 0, kGlobalMemory);
  by.record = record;
  each_page(allocation, address, bytes,
            [&](RaceShadow& races, std::uint64_t offset, std::uint64_t here) { races.keep(offset, here, by); });
}

}  // namespace flashmask::emulator
