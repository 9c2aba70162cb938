#include "emulator/machine/core/mbarrier.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// How many phases some of the lanes have seen complete.
std::uint32_t phases_known(const Warp& warp, std::uint32_t lanes, const Mbarrier& mbarrier) {
  std::uint32_t known = warp.order.common.known.whole(mbarrier.agent);
  for (const WarpOrder::Extra& extra : warp.order.extras) {
    if ((extra.lanes & lanes) != 0) known = std::max(known, extra.order.known.whole(mbarrier.agent));
  }
  return known;
}

}  // namespace

Mbarrier* Mbarriers::find(std::uint32_t offset) {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Mbarrier& each) { return each.offset == offset; });
  return found == all_.end() ? nullptr : &*found;
}

Mbarrier& Mbarriers::add(const Mbarrier& mbarrier) {
  all_.push_back(mbarrier);
  return all_.back();
}

void Mbarriers::remove(std::uint32_t offset) {
  std::erase_if(all_, [&](const Mbarrier& each) { return each.offset == offset; });
}

void wake_waiting(Launch& launch) {
  for (Cta* cta : launch.resident) {
    if (cta == nullptr) continue;
    for (Warp& warp : cta->warps) {
      for (LaneGroup& group : warp.parked) {
        if (group.state != LaneGroup::State::kWaiting) continue;
        group.state = LaneGroup::State::kReady;
        launch.roster_changed = true;
      }
    }
  }
}

bool has_copy_in_flight(const Warp& warp) {
  if (warp.cta->async_copies_in_flight != 0) return true;
  const auto is_under_way = [&](const Mbarrier& mbarrier) {
    if (mbarrier.issued == mbarrier.over_before) return false;
    const bool knows_the_last = !warp.launch->races || phases_known(warp, kAllLanes, mbarrier) == mbarrier.phase;
    return mbarrier.issued > (knows_the_last ? mbarrier.over : mbarrier.over_before);
  };
  const std::vector<Mbarrier>& all = warp.cta->mbarriers.all();
  return std::any_of(all.begin(), all.end(), is_under_way);
}

void complete_if_done(Launch& launch, Mbarrier& mbarrier) {
  if (mbarrier.pending != 0 || mbarrier.bytes != 0) return;
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.expected;
  mbarrier.over_before = std::exchange(mbarrier.over, mbarrier.landed);
  mbarrier.arriving.known.raise(mbarrier.agent, mbarrier.phase);
  mbarrier.completed = mbarrier.arriving;
  ++launch.progress;
  wake_waiting(launch);
}

Mbarrier& mbarrier_at(Warp& warp, std::uint32_t lane, Cta& cta, std::uint32_t offset, bool asynchronous) {
  Mbarrier* found = cta.mbarriers.find(offset);
  if (found == nullptr) {
    warp.fault(Fault::Kind::kMbarrier, lane,
               fmt::format("there is no mbarrier at shared+{:#x} of CTA ({},{},{}): mbarrier.init has not run for it",
                           offset, cta.id[0], cta.id[1], cta.id[2]));
  }
  if (!warp.launch->races) return *found;
  const bool crosses = asynchronous && !found->initialisation_fenced;
  const Accessor by = accessor_of(warp, 1u << lane, crosses ? std::uint32_t{kAsynchronous} : 0u, kSharedMemory);
  Conflict conflict{found->initialised, false};
  if (!ordered(found->initialised, by, conflict.only_the_fence_is_missing)) {
    fault_conflict(warp, lane, by, conflict, fmt::format("the mbarrier at shared+{:#x}", offset));
  }
  return *found;
}

void arrive(Warp& warp, std::uint32_t lanes, Mbarrier& mbarrier, std::uint32_t count, bool ordered) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
  if (count == 0) {
    warp.fault(Fault::Kind::kMbarrier, lane,
               fmt::format("0 arrivals at the mbarrier at shared+{:#x}; 1 to {} are allowed", mbarrier.offset,
                           Mbarrier::kMostArrivals));
  }
  if (count > mbarrier.pending) {
    warp.fault(
        Fault::Kind::kMbarrier, lane,
        fmt::format("{} arrivals at the mbarrier at shared+{:#x}, which expects {} a phase and waits for {} more "
                    "in phase {}",
                    count, mbarrier.offset, mbarrier.expected, mbarrier.pending, mbarrier.phase));
  }
  if (ordered) release(warp, lanes, mbarrier.arriving);
  mbarrier.pending -= count;
  complete_if_done(*warp.launch, mbarrier);
}

void expect_bytes(Warp& warp, std::uint32_t lane, Mbarrier& mbarrier, std::int64_t bytes) {
  mbarrier.bytes += bytes;
  if (mbarrier.bytes > Mbarrier::kMostTransactionBytes || mbarrier.bytes < -Mbarrier::kMostTransactionBytes) {
    warp.fault(
        Fault::Kind::kMbarrier, lane,
        fmt::format("the mbarrier at shared+{:#x} would wait for {} bytes; its count is between -{} and {}",
                    mbarrier.offset, mbarrier.bytes, Mbarrier::kMostTransactionBytes, Mbarrier::kMostTransactionBytes));
  }
}

bool parity_completed(const Warp& warp, std::uint32_t lane, const Mbarrier& mbarrier, std::uint32_t parity) {
  const std::uint32_t observed = phases_known(warp, 1u << lane, mbarrier);
  // The phase that is meant is the last one seen to complete, or else the next one: whichever has this parity. Phase 0
  // has parity 0, and the one before it, with parity 1, counts as complete.
  const std::uint32_t meant = ((observed + 1) & 1) == (parity & 1) ? observed : observed + 1;
  // Without the check of races nobody keeps what threads have seen.
  if (warp.launch->races && mbarrier.phase > meant) {
    warp.fault(
        Fault::Kind::kMbarrier, lane,
        fmt::format("a wait for parity {} of the mbarrier at shared+{:#x} comes too late: the thread has seen {} "
                    "phases complete, but {} have, so that the parity means another phase by now. Who arrives "
                    "must wait for this thread in each phase",
                    parity, mbarrier.offset, observed, mbarrier.phase));
  }
  return (mbarrier.phase & 1) != (parity & 1);
}

std::uint64_t state_of(const Mbarrier& mbarrier) {
  return std::uint64_t{mbarrier.phase} << 20 | mbarrier.pending;
}
std::uint32_t phase_of_state(std::uint64_t state) {
  return static_cast<std::uint32_t>(state >> 20);
}
std::uint32_t pending_of_state(std::uint64_t state) {
  return static_cast<std::uint32_t>(state & Mbarrier::kMostArrivals);
}

}  // namespace flashmask::emulator
