#include "emulator/machine/core/bulk_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "emulator/machine/core/ownership.h"
#include "emulator/machine/core/race_check.h"
#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

using Direction = BulkCopy::Direction;

std::uint8_t* shared_shadow(Cta& cta, std::uint32_t offset) {
  return reinterpret_cast<std::uint8_t*>(cta.shared_shadow.data()) + offset;
}

std::uint32_t target_offset(const BulkCopy& copy, const BulkCopy::Run& run) {
  return copy.direction == Direction::kBetweenShared ? static_cast<std::uint32_t>(run.other) : run.shared;
}

std::uint32_t proxy_of(const BulkCopy& copy) {
  return copy.generic ? 0u : std::uint32_t{kAsynchronous};
}

[[noreturn]] void fault_owned(Warp& warp, std::uint32_t lane, const std::string& what, const BulkCopy* owner) {
  const std::string who = owner == nullptr ? "another asynchronous operation" : describe(*warp.launch, *owner);
  warp.fault(Fault::Kind::kPending, lane,
             fmt::format("{}, which an asynchronous copy still owns; that copy is\n  {}\nand this one is", what, who));
}

/// The bytes in shared memory that the copy will write.
void claim_shared_target(Warp& warp, const BulkCopy& copy, Cta& cta, const BulkCopy::Run& run) {
  const std::uint32_t offset = target_offset(copy, run);
  const std::uint32_t lane = copy.lane;
  if (std::uint64_t{offset} + run.bytes > warp.launch->shared_bytes) {
    warp.fault(Fault::Kind::kOutOfBounds, lane,
               fmt::format("out of bounds: it writes {} bytes at shared+{:#x}; the space ends at {:#x}", run.bytes,
                           offset, warp.launch->shared_bytes));
  }
  const auto what = [&] { return fmt::format("it writes {} bytes at shared+{:#x}", run.bytes, offset); };
  std::uint8_t* shadow = shared_shadow(cta, offset);
  for (std::uint32_t i = 0; i < run.bytes; ++i) {
    if ((shadow[i] & kPendingWrite) != 0) fault_owned(warp, lane, what(), owner_of(*warp.launch, &cta, offset + i, 1));
    if ((shadow[i] & kObject) != 0) warp.fault(Fault::Kind::kMbarrier, lane, what() + ", where an mbarrier is");
  }
  if (is_being_read(cta, offset, run.bytes)) fault_being_read(warp, lane, cta, offset, run.bytes, what());
  if (warp.launch->races) {
    check_shared(warp, lane, 1u << lane, cta, offset, run.bytes, kWrites | proxy_of(copy), Keep::kNo);
    const std::uint32_t strict = kWrites | kAsynchronous | kFencesReads;
    if (warp.launch->pedantic && !copy.generic &&
        !is_ordered_shared(warp, 1u << lane, cta, offset, run.bytes, strict)) {
      warp.launch->note(
          fmt::format("{}\n  overwrites what ordinary loads read, without fence.proxy.async between; an "
                      "mbarrier is enough on today's hardware, PTX asks for the fence",
                      warp.launch->program->quote(warp.operation->line)));
    }
  }
  std::memset(shadow, kPendingWrite, run.bytes);
}

void claim_shared_source(Warp& warp, const BulkCopy& copy, const BulkCopy::Run& run) {
  Cta& cta = *copy.source;
  if (std::uint64_t{run.shared} + run.bytes > warp.launch->shared_bytes) {
    warp.fault(Fault::Kind::kOutOfBounds, copy.lane,
               fmt::format("out of bounds: it reads {} bytes at shared+{:#x}; the space ends at {:#x}", run.bytes,
                           run.shared, warp.launch->shared_bytes));
  }
  const std::uint8_t* shadow = shared_shadow(cta, run.shared);
  for (std::uint32_t i = 0; i < run.bytes; ++i) {
    if (shadow[i] == kWritten) continue;
    const std::string what = fmt::format("it reads {} bytes at shared+{:#x}", run.bytes, run.shared);
    if ((shadow[i] & kPendingWrite) != 0) {
      fault_owned(warp, copy.lane, what, owner_of(*warp.launch, &cta, run.shared + i, 1));
    }
    if ((shadow[i] & kObject) != 0) warp.fault(Fault::Kind::kMbarrier, copy.lane, what + ", where an mbarrier is");
    warp.fault(Fault::Kind::kUninitialised, copy.lane,
               fmt::format("uninitialised: {}, of which byte {} was never written", what, i));
  }
  if (warp.launch->races) {
    check_shared(warp, copy.lane, 1u << copy.lane, cta, run.shared, run.bytes, kAsynchronous, Keep::kNo);
  }
  for (std::uint32_t g = run.shared / RaceShadow::kGranule; g <= last_granule(run.shared, run.bytes); ++g) {
    ++cta.pending_reads[g];
  }
}

Allocation& global_bytes(Warp& warp, const BulkCopy& copy, const BulkCopy::Run& run, const char* verb) {
  Allocation* allocation = warp.launch->memory->find(run.other, run.bytes);
  if (allocation == nullptr) {
    warp.fault(Fault::Kind::kOutOfBounds, copy.lane,
               fmt::format("out of bounds: it {} {} bytes at the global address {:#x}: {}", verb, run.bytes, run.other,
                           warp.launch->memory->describe(run.other)));
  }
  return *allocation;
}

void claim_global_source(Warp& warp, const BulkCopy& copy, const BulkCopy::Run& run) {
  Allocation& allocation = global_bytes(warp, copy, run, "reads");
  const std::uint8_t* shadow = allocation.shadow + (run.other - allocation.base);
  for (std::uint32_t i = 0; i < run.bytes; ++i) {
    if ((shadow[i] & (kPendingWrite | kPendingReduction)) != 0) {
      fault_owned(warp, copy.lane, fmt::format("it reads {} bytes at the global address {:#x}", run.bytes, run.other),
                  owner_of(*warp.launch, nullptr, run.other + i, 1));
    }
    if ((shadow[i] & kWritten) == 0) {
      warp.fault(Fault::Kind::kUninitialised, copy.lane,
                 fmt::format("uninitialised: it reads {} bytes at the global address {:#x} ({}), of which byte {} was "
                             "never written",
                             run.bytes, run.other, warp.launch->memory->describe(run.other), i));
    }
  }
  if (warp.launch->races) {
    check_global(warp, copy.lane, 1u << copy.lane, allocation, run.other, run.bytes, kAsynchronous, Keep::kNo);
  }
  allocation.pending_reads.add(run.other - allocation.base, run.bytes);
}

/// Whether it is one of the reductions that may come in any order.
bool stands_beside_others(const BulkCopy& copy) {
  return copy.reduction != nullptr && !copy.is_ordered;
}

std::uint32_t global_flags(const BulkCopy& copy) {
  const std::uint32_t strong = static_cast<std::uint32_t>(Scope::kGpu) << kScopeShift | kStrong;
  return kWrites | kAsynchronous | (stands_beside_others(copy) ? strong : 0);
}

void claim_global_target(Warp& warp, const BulkCopy& copy, const BulkCopy::Run& run) {
  Allocation& allocation = global_bytes(warp, copy, run, "writes");
  std::uint8_t* shadow = allocation.shadow + (run.other - allocation.base);
  const std::uint8_t mine = copy.reduction != nullptr ? kPendingReduction : kPendingWrite;
  const std::uint8_t hindrance = stands_beside_others(copy) ? kPendingWrite : kPendingWrite | kPendingReduction;
  const auto what = [&] { return fmt::format("it writes {} bytes at the global address {:#x}", run.bytes, run.other); };
  for (std::uint32_t i = 0; i < run.bytes; ++i) {
    if ((shadow[i] & hindrance) != 0) {
      fault_owned(warp, copy.lane, what(), owner_of(*warp.launch, nullptr, run.other + i, 1));
    }
    if (copy.reduction != nullptr && (shadow[i] & kWritten) == 0) {
      warp.fault(
          Fault::Kind::kUninitialised, copy.lane,
          fmt::format("uninitialised: {}, of which byte {} was never written, and a reduction reads it", what(), i));
    }
  }
  if (allocation.pending_reads.near(run.other - allocation.base, run.bytes))
    check_pending_reads(warp, copy.lane, run.other, run.bytes);
  if (warp.launch->races) {
    check_global(warp, copy.lane, 1u << copy.lane, allocation, run.other, run.bytes, global_flags(copy), Keep::kNo);
  }
  for (std::uint32_t i = 0; i < run.bytes; ++i) shadow[i] |= mine;
}

/// What the record of a completed access says: of the phase that it completes, or of the thread that waited for it.
AccessRecord completed_record(const BulkCopy& copy, std::uint32_t flags, const Cta* target) {
  const std::uint32_t where = copy.operation << kFlagBits | flags;
  if (copy.signals) {
    for (const Mbarrier& each : target->mbarriers.all()) {
      if (each.offset == copy.mbarrier) return {each.agent, each.phase + 1, kAllLanes, where};
    }
  }
  const WarpOrder& order = copy.issuer->order;
  return {order.agent, order.clock, 1u << copy.lane, where};
}

void read_run(Launch& launch, BulkCopy& copy, const BulkCopy::Run& run) {
  if (run.fills) {
    for (std::uint32_t i = 0; i < run.bytes; ++i) copy.payload.push_back(copy.fill[i % sizeof(copy.fill)]);
    return;
  }
  const std::byte* from = nullptr;
  if (copy.direction == Direction::kToShared) {
    Allocation& allocation = *launch.memory->find(run.other, run.bytes);
    from = allocation.data + (run.other - allocation.base);
    allocation.pending_reads.remove(run.other - allocation.base, run.bytes);
    launch.statistics.global_bytes_read += run.bytes;
  } else {
    from = copy.source->shared.data() + run.shared;
    for (std::uint32_t g = run.shared / RaceShadow::kGranule; g <= last_granule(run.shared, run.bytes); ++g) {
      --copy.source->pending_reads[g];
    }
    launch.statistics.shared_bytes_read += run.bytes;
  }
  copy.payload.insert(copy.payload.end(), from, from + run.bytes);
}

/// Later writers compare themselves with what the copy has read.
void keep_reads(Launch& launch, const BulkCopy& copy) {
  if (!launch.races) return;
  for (const BulkCopy::Run& run : copy.runs) {
    if (run.fills) continue;
    if (copy.direction == Direction::kToShared) {
      Allocation& allocation = *launch.memory->find(run.other, run.bytes);
      keep_global_read(allocation, run.other, run.bytes, *copy.issuer,
                       completed_record(copy, kAsynchronous, copy.targets.front()));
    } else {
      const Cta* target = copy.targets.empty() ? nullptr : copy.targets.front();
      keep_shared_read(*copy.source, run.shared, run.bytes, *copy.issuer,
                       completed_record(copy, kAsynchronous, target));
    }
  }
}

void write_shared_target(Launch& launch, const BulkCopy& copy, Cta& cta) {
  const AccessRecord record = completed_record(copy, kWrites | proxy_of(copy), &cta);
  const std::byte* from = copy.payload.data();
  for (const BulkCopy::Run& run : copy.runs) {
    const std::uint32_t offset = target_offset(copy, run);
    std::memcpy(cta.shared.data() + offset, from, run.bytes);
    std::memset(shared_shadow(cta, offset), kWritten, run.bytes);
    if (launch.races) keep_shared_write(cta, offset, run.bytes, record);
    from += run.bytes;
  }
  launch.statistics.shared_bytes_written += copy.bytes;
}

void write_global_target(Launch& launch, const BulkCopy& copy) {
  // The wait shows an ordered sum to the thread's ordinary accesses: asynchronous ones that follow need a fence.
  const AccessRecord record =
      completed_record(copy, copy.is_ordered ? std::uint32_t{kWrites} : global_flags(copy), nullptr);
  const std::byte* from = copy.payload.data();
  for (const BulkCopy::Run& run : copy.runs) {
    if (run.fills) {
      from += run.bytes;
      continue;
    }
    Allocation& allocation = *launch.memory->find(run.other, run.bytes);
    std::byte* to = allocation.data + (run.other - allocation.base);
    std::uint8_t* shadow = allocation.shadow + (run.other - allocation.base);
    if (copy.reduction != nullptr) {
      copy.reduction(to, from, run.bytes);
      for (std::uint32_t i = 0; i < run.bytes; ++i) shadow[i] &= static_cast<std::uint8_t>(~kPendingReduction);
    } else {
      std::memcpy(to, from, run.bytes);
      std::memset(shadow, kWritten, run.bytes);
    }
    if (launch.races) {
      if (stands_beside_others(copy)) {
        keep_global_read(allocation, run.other, run.bytes, *copy.issuer, record);
      } else {
        keep_global_write(allocation, run.other, run.bytes, record);
      }
    }
    launch.statistics.global_bytes_written += run.bytes;
    from += run.bytes;
  }
}

/// Other reductions in flight own bytes that the one which has `landed` gave up.
void restore_claims(Launch& launch, const BulkCopy& landed) {
  for (const auto& copy : launch.bulk_copies) {
    const bool apart = copy->global_end <= landed.global_begin || landed.global_end <= copy->global_begin;
    if (copy->reduction == nullptr || apart) continue;
    for (const BulkCopy::Run& run : copy->runs) {
      if (run.fills) continue;
      Allocation& allocation = *launch.memory->find(run.other, run.bytes);
      std::uint8_t* shadow = allocation.shadow + (run.other - allocation.base);
      for (std::uint32_t i = 0; i < run.bytes; ++i) shadow[i] |= kPendingReduction;
    }
  }
}

void signal(Launch& launch, const BulkCopy& copy, Cta& cta) {
  Warp& warp = *copy.issuer;
  const Operation* const running = std::exchange(warp.operation, &launch.kernel->code[copy.operation]);
  Mbarrier* mbarrier = cta.mbarriers.find(copy.mbarrier);
  if (mbarrier == nullptr) {
    warp.fault(Fault::Kind::kMbarrier, copy.lane,
               fmt::format("the copy completes, but its mbarrier at shared+{:#x} is gone", copy.mbarrier));
  }
  expect_bytes(warp, copy.lane, *mbarrier, -static_cast<std::int64_t>(copy.bytes));
  warp.operation = running;
  ++mbarrier->landed;
  complete_if_done(launch, *mbarrier);
}

/// The copy writes now, signals its mbarriers and is over.
void land(Launch& launch, std::size_t index) {
  read_source(launch, *launch.bulk_copies[index]);
  const std::unique_ptr<BulkCopy> copy = std::move(launch.bulk_copies[index]);
  launch.bulk_copies.erase(launch.bulk_copies.begin() + static_cast<std::ptrdiff_t>(index));
  for (Cta* cta : copy->targets) write_shared_target(launch, *copy, *cta);
  if (copy->direction == Direction::kToGlobal) write_global_target(launch, *copy);
  if (copy->reduction != nullptr) restore_claims(launch, *copy);
  if (copy->signals) {
    for (Cta* cta : copy->targets) signal(launch, *copy, *cta);
  }
  ++launch.progress;
}

void set_global_range(BulkCopy& copy) {
  if (copy.direction == Direction::kBetweenShared) return;
  copy.global_begin = ~std::uint64_t{0};
  for (const BulkCopy::Run& run : copy.runs) {
    if (run.fills) continue;
    copy.global_begin = std::min(copy.global_begin, run.other);
    copy.global_end = std::max(copy.global_end, run.other + run.bytes);
  }
}

}  // namespace

void issue(Warp& warp, BulkCopy copy) {
  Launch& launch = *warp.launch;
  copy.number = ++launch.bulk_copies_issued;
  copy.operation = static_cast<std::uint32_t>(warp.operation - launch.kernel->code.data());
  copy.issuer = &warp;
  copy.group = warp.bulk_committed[copy.lane];
  set_global_range(copy);
  for (const BulkCopy::Run& run : copy.runs) {
    if (run.fills) continue;
    if (copy.direction == Direction::kToShared) {
      claim_global_source(warp, copy, run);
    } else {
      claim_shared_source(warp, copy, run);
    }
  }
  for (Cta* cta : copy.targets) {
    if (copy.signals) {
      Mbarrier& mbarrier = mbarrier_at(warp, copy.lane, *cta, copy.mbarrier, !copy.generic);
      mbarrier.is_remote |= cta != warp.cta;
      ++mbarrier.issued;
    }
    for (const BulkCopy::Run& run : copy.runs) claim_shared_target(warp, copy, *cta, run);
  }
  if (copy.direction == Direction::kToGlobal) {
    for (const BulkCopy::Run& run : copy.runs) {
      if (!run.fills) claim_global_target(warp, copy, run);
    }
  }
  launch.bulk_copies.push_back(std::make_unique<BulkCopy>(std::move(copy)));
  ++launch.progress;
  if (launch.turns->lands_at_issue() && launch.bulk_copies.back()->signals) land(launch, launch.bulk_copies.size() - 1);
}

void read_source(Launch& launch, BulkCopy& copy) {
  if (copy.has_read) return;
  copy.has_read = true;
  copy.payload.reserve(copy.bytes);
  for (const BulkCopy::Run& run : copy.runs) read_run(launch, copy, run);
  keep_reads(launch, copy);
}

std::size_t copies_that_may_land(const Launch& launch) {
  return static_cast<std::size_t>(std::count_if(launch.bulk_copies.begin(), launch.bulk_copies.end(),
                                                [](const auto& copy) { return copy->signals; }));
}

void land_one(Launch& launch, std::size_t which) {
  for (std::size_t i = 0; i < launch.bulk_copies.size(); ++i) {
    if (launch.bulk_copies[i]->signals && which-- == 0) return land(launch, i);
  }
}

void wait_for_groups(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool only_reads) {
  Launch& launch = *warp.launch;
  for (std::size_t i = 0; i < launch.bulk_copies.size();) {
    BulkCopy& copy = *launch.bulk_copies[i];
    const bool mine = copy.issuer == &warp && !copy.signals && (lanes >> copy.lane & 1) != 0;
    if (!mine || copy.group + remaining >= warp.bulk_committed[copy.lane]) {
      ++i;
    } else if (only_reads) {
      read_source(launch, copy);
      ++i;
    } else {
      land(launch, i);
    }
  }
}

void finish_bulk_copies(Warp& last) {
  Launch& launch = *last.launch;
  Cta& cta = *last.cta;
  for (std::size_t i = 0; i < launch.bulk_copies.size();) {
    BulkCopy& copy = *launch.bulk_copies[i];
    const bool writes_here = std::find(copy.targets.begin(), copy.targets.end(), &cta) != copy.targets.end();
    const bool reads_here = copy.source == &cta && !copy.has_read;
    if (writes_here || reads_here) {
      Warp& issuer = *copy.issuer;
      issuer.operation = &launch.kernel->code[copy.operation];
      issuer.fault(Fault::Kind::kPending, copy.lane,
                   fmt::format("the CTA ({},{},{}) ends while an asynchronous copy still {} its shared memory; {} must "
                               "come before its last thread exits. The copy is",
                               cta.id[0], cta.id[1], cta.id[2], writes_here ? "writes" : "reads",
                               copy.signals ? "a wait for its mbarrier" : "cp.async.bulk.wait_group.read 0"));
    }
    if (copy.issuer->cta == &cta) {
      land(launch, i);
    } else {
      ++i;
    }
  }
}

const BulkCopy* owner_of(const Launch& launch, const Cta* cta, std::uint64_t offset, std::uint64_t bytes) {
  for (const auto& copy : launch.bulk_copies) {
    for (const BulkCopy::Run& run : copy->runs) {
      if (cta == nullptr) {
        if (!run.fills && copy->direction != Direction::kBetweenShared &&
            overlaps(run.other, run.bytes, offset, bytes)) {
          return copy.get();
        }
        continue;
      }
      const bool targets = std::find(copy->targets.begin(), copy->targets.end(), cta) != copy->targets.end();
      if (targets && overlaps(target_offset(*copy, run), run.bytes, offset, bytes)) return copy.get();
      if (copy->source == cta && !copy->has_read && overlaps(run.shared, run.bytes, offset, bytes)) return copy.get();
    }
  }
  return nullptr;
}

std::string describe(const Launch& launch, const BulkCopy& copy) {
  return fmt::format("{}\n  of {}", launch.program->quote(launch.kernel->code[copy.operation].line),
                     place_of(*copy.issuer, copy.lane));
}

}  // namespace flashmask::emulator
