#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/core/ownership.h"
#include "emulator/machine/core/race_check.h"
#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

enum Flag : std::uint8_t {
  kExpects = 1,      ///< bytes, before it arrives
  kDrops = 2,        ///< the next phases expect fewer
  kRelaxed = 4,      ///< publishes or acquires by way of fences only
  kParity = 8,       ///< a wait for a parity, not for a state
  kMaySleep = 16,    ///< try_wait
  kIncrements = 32,  ///< cp.async.mbarrier.arrive without .noinc
  kOfCluster = 64,   ///< its scope is the cluster
};

Scope scope_of(const Operation& operation) {
  return (operation.flags & kOfCluster) != 0 ? Scope::kCluster : Scope::kCta;
}

std::uint8_t* shadow_of(Cta& cta, std::uint32_t offset) {
  return reinterpret_cast<std::uint8_t*>(cta.shared_shadow.data()) + offset;
}

SharedPlace place_of_object(Warp& warp, std::uint32_t lane, std::uint64_t address) {
  const SharedPlace place = shared_place(warp, lane, address, Mbarrier::kBytes);
  if (place.offset % Mbarrier::kBytes != 0) {
    warp.fault(Fault::Kind::kMisaligned, lane,
               fmt::format("misaligned: an mbarrier at shared+{:#x}, which is not a multiple of 8", place.offset));
  }
  return place;
}

/// r[0] = count
void run_init(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  Launch& launch = *warp.launch;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const SharedPlace place = place_of_object(warp, lane, addresses[lane]);
    Cta& cta = *place.cta;
    const std::uint32_t count = warp.lanes<std::uint32_t>(operation.r[0])[lane];
    if (count == 0 || count > Mbarrier::kMostArrivals) {
      warp.fault(Fault::Kind::kMbarrier, lane,
                 fmt::format("an mbarrier for {} arrivals; 1 to {} are allowed", count, Mbarrier::kMostArrivals));
    }
    std::uint8_t* shadow = shadow_of(cta, place.offset);
    if (cta.mbarriers.find(place.offset) != nullptr) {
      warp.fault(
          Fault::Kind::kMbarrier, lane,
          fmt::format("there is an mbarrier at shared+{:#x} already; mbarrier.inval must come first", place.offset));
    }
    const auto what = [&] { return fmt::format("it initialises an mbarrier at shared+{:#x}", place.offset); };
    if (!none_owned(shadow, Mbarrier::kBytes)) {
      fault_being_written(warp, lane, cta, place.offset, Mbarrier::kBytes, what());
    }
    if (is_being_read(cta, place.offset, Mbarrier::kBytes)) {
      fault_being_read(warp, lane, cta, place.offset, Mbarrier::kBytes, what());
    }
    if (launch.races) {
      check_shared(warp, lane, 1u << lane, cta, place.offset, Mbarrier::kBytes, kWrites, Keep::kYes);
    }
    std::memset(shadow, kWritten | kObject, Mbarrier::kBytes);
    Mbarrier mbarrier;
    mbarrier.offset = place.offset;
    mbarrier.agent = cta.agents_used < cta.agents ? cta.first_agent + cta.agents_used++ : launch.next_agent++;
    mbarrier.expected = mbarrier.pending = count;
    mbarrier.arriving = mbarrier.completed = Order(cta.first_agent, cta.agents);
    mbarrier.initialised = accessor_of(warp, 1u << lane, kWrites, kSharedMemory).record;
    launch.mbarrier_homes[mbarrier.agent] = {place.offset, {cta.id[0], cta.id[1], cta.id[2]}};
    cta.mbarriers.add(mbarrier);
  }
  ++launch.progress;
  launch.turns->visible(warp);
}

/// Calls visit(lane, place, mbarrier) for each running lane, with the mbarrier that its address names.
template <class Visit>
void each_mbarrier(Warp& warp, const Operation& operation, Visit visit) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const SharedPlace place = place_of_object(warp, lane, addresses[lane]);
    visit(lane, place, mbarrier_at(warp, lane, *place.cta, place.offset, false));
  }
}

void run_invalidate(Warp& warp, const Operation& operation) {
  each_mbarrier(warp, operation, [&](std::uint32_t lane, const SharedPlace& place, const Mbarrier&) {
    if (warp.launch->races) {
      check_shared(warp, lane, 1u << lane, *place.cta, place.offset, Mbarrier::kBytes, kWrites, Keep::kYes);
    }
    place.cta->mbarriers.remove(place.offset);
    std::memset(shadow_of(*place.cta, place.offset), 0, Mbarrier::kBytes);
  });
  ++warp.launch->progress;
  warp.launch->turns->visible(warp);
}

/// r = bytes; mode 1: they have come (complete_tx), else they are to come.
void run_bytes(Warp& warp, const Operation& operation) {
  each_mbarrier(warp, operation, [&](std::uint32_t lane, const SharedPlace&, Mbarrier& mbarrier) {
    const std::int64_t bytes = warp.lanes<std::uint32_t>(operation.r[0])[lane];
    expect_bytes(warp, lane, mbarrier, operation.mode != 0 ? -bytes : bytes);
    complete_if_done(*warp.launch, mbarrier);
  });
  ++warp.launch->progress;
  warp.launch->turns->visible(warp);
}

std::uint32_t value_or(const Warp& warp, Ref ref, std::uint32_t lane, std::uint32_t otherwise) {
  return ref == kNoRef ? otherwise : warp.lanes<std::uint32_t>(ref)[lane];
}

/// The lanes of `mask` that do the same as `lane`: at one address with the same count and bytes.
std::uint32_t alike(const Warp& warp, const Operation& operation, const std::uint64_t* addresses, std::uint32_t lane) {
  std::uint32_t result = 0;
  for (std::uint32_t other = 0; other < kLanes; ++other) {
    if ((warp.mask >> other & 1) == 0 || addresses[other] != addresses[lane]) continue;
    const bool same = value_or(warp, operation.r[1], other, 1) == value_or(warp, operation.r[1], lane, 1) &&
                      value_or(warp, operation.r[2], other, 0) == value_or(warp, operation.r[2], lane, 0);
    if (same) result |= 1u << other;
  }
  return result;
}

void drop(Warp& warp, std::uint32_t lane, Mbarrier& mbarrier, std::uint32_t count) {
  if (count > mbarrier.expected) {
    warp.fault(Fault::Kind::kMbarrier, lane,
               fmt::format("{} arrivals are dropped from the mbarrier at shared+{:#x}, which expects {}", count,
                           mbarrier.offset, mbarrier.expected));
  }
  mbarrier.expected -= count;
}

/// r = state (or nothing), count (or nothing for 1), bytes; flags = Flag. With kExpects, r[2] are bytes.
void run_arrive(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  const bool drops = (operation.flags & kDrops) != 0;
  const bool publishes = (operation.flags & kRelaxed) == 0 && warp.launch->races;
  for (std::uint32_t left = warp.mask; left != 0;) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(left));
    const SharedPlace place = place_of_object(warp, lane, addresses[lane]);
    Mbarrier& mbarrier = mbarrier_at(warp, lane, *place.cta, place.offset, false);
    const std::uint32_t count = value_or(warp, operation.r[1], lane, 1);
    // Lanes that do the same arrive together, unless a phase ends between them or each wants its state.
    std::uint32_t together = alike(warp, operation, addresses, lane) & left;
    const auto threads = static_cast<std::uint64_t>(std::popcount(together));
    if (threads * count > mbarrier.pending || operation.r[0] != kNoRef || drops) together = 1u << lane;
    const auto arrivals = static_cast<std::uint32_t>(std::popcount(together));
    if (operation.r[0] != kNoRef) warp.lanes<std::uint64_t>(operation.r[0])[lane] = state_of(mbarrier);
    if ((operation.flags & kExpects) != 0) {
      expect_bytes(warp, lane, mbarrier, std::int64_t{value_or(warp, operation.r[2], lane, 0)} * arrivals);
    }
    if (drops) drop(warp, lane, mbarrier, count);
    if (together != (1u << lane)) {
      for (std::uint32_t other = lane + 1; other < kLanes; ++other) {
        if ((together >> other & 1) != 0) mbarrier_at(warp, other, *place.cta, place.offset, false);
      }
    }
    mbarrier.is_remote |= place.cta != warp.cta;
    if (warp.launch->races && !publishes) {
      release_fenced(warp, together, scope_of(operation), mbarrier.arriving);
    }
    arrive(warp, together, mbarrier, arrivals * count, publishes);
    left &= ~together;
  }
  ++warp.launch->progress;
  warp.launch->turns->visible(warp);
}

/// What a relaxed wait learns at once: that phases have completed, so that it can tell the next parity.
Order phases_of(const Mbarrier& mbarrier) {
  Order order;
  order.known.raise(mbarrier.agent, mbarrier.phase);
  return order;
}

/// r = predicate, state or parity; flags = Flag.
void run_wait(Warp& warp, const Operation& operation) {
  std::uint64_t addresses[kLanes];
  lane_addresses(warp, operation, addresses);
  std::uint32_t done = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const SharedPlace place = place_of_object(warp, lane, addresses[lane]);
    const Mbarrier& mbarrier = mbarrier_at(warp, lane, *place.cta, place.offset, false);
    bool complete = false;
    if ((operation.flags & kParity) != 0) {
      complete = parity_completed(warp, lane, mbarrier, warp.lanes<std::uint32_t>(operation.r[1])[lane]);
    } else {
      const std::uint32_t phase = phase_of_state(warp.lanes<std::uint64_t>(operation.r[1])[lane]);
      if (phase != mbarrier.phase && phase + 1 != mbarrier.phase) {
        warp.fault(
            Fault::Kind::kMbarrier, lane,
            fmt::format("a wait for a state of phase {}, but the mbarrier at shared+{:#x} is in phase {}: only its "
                        "running phase and the one before may be waited for",
                        phase, mbarrier.offset, mbarrier.phase));
      }
      complete = phase < mbarrier.phase;
    }
    done |= (complete ? 1u : 0u) << lane;
  }
  const bool sleeps = (operation.flags & kMaySleep) != 0;
  if (sleeps && done != warp.mask && (warp.times_out & warp.mask) == 0 && !warp.launch->turns->fails_spuriously()) {
    return wait_here(warp);
  }
  if (sleeps && done == warp.mask && warp.launch->turns->fails_spuriously()) done = 0;
  warp.times_out &= ~warp.mask;
  for (std::uint32_t left = done; warp.launch->races && left != 0;) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(left));
    std::uint32_t together = 0;
    for (std::uint32_t other = lane; other < kLanes; ++other) {
      if ((left >> other & 1) != 0 && addresses[other] == addresses[lane]) together |= 1u << other;
    }
    const SharedPlace place = place_of_object(warp, lane, addresses[lane]);
    const Mbarrier& mbarrier = *place.cta->mbarriers.find(place.offset);
    if (mbarrier.is_remote && (operation.flags & kOfCluster) == 0 && warp.launch->pedantic) {
      warp.launch->note(
          fmt::format("{}\n  waits at the scope of the CTA for what other CTAs of the cluster did; PTX "
                      "promises their writes to .acquire.cluster only",
                      warp.launch->program->quote(operation.line)));
    }
    if ((operation.flags & kRelaxed) == 0) {
      acquire(warp, together, mbarrier.completed);
    } else {
      acquire(warp, together, phases_of(mbarrier));
      note_seen(warp, together, {mbarrier.completed, Scope::kCluster, place.cta->first_agent}, scope_of(operation));
    }
    left &= ~together;
  }
  warp.set_predicate(operation.r[0], done);
  // Who is told to try again lets others run.
  if (done != warp.mask) warp.interrupted = true;
  warp.launch->turns->visible(warp);
}

/// r = count, state
void run_pending_count(Warp& warp, const Operation& operation) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    warp.lanes<std::uint32_t>(operation.r[0])[lane] = pending_of_state(warp.lanes<std::uint64_t>(operation.r[1])[lane]);
  }
}

/// The copies of the lanes arrive when they have all completed: now, as far as anybody can tell.
void run_copy_arrival(Warp& warp, const Operation& operation) {
  each_mbarrier(warp, operation, [&](std::uint32_t lane, const SharedPlace&, Mbarrier& mbarrier) {
    complete_copies(warp, 1u << lane, 0, true, &mbarrier);
    // Without .noinc the arrival is one more than were expected.
    if ((operation.flags & kIncrements) != 0) ++mbarrier.pending;
    // It is the copies that arrive: what the thread did besides is not published.
    arrive(warp, 1u << lane, mbarrier, 1, false);
  });
  warp.launch->turns->visible(warp);
}

// --- lowering --------------------------------------------------------------------------------------------------------

void take_space(Builder& builder, std::size_t address) {
  const Space space = builder.space_or_generic();
  if (space != Space::kGeneric && space != Space::kShared && space != Space::kSharedCluster) {
    builder.malformed("an mbarrier lies in shared memory");
  }
  builder.address(address, space);
}

void take_object_type(Builder& builder) {
  if (builder.type() != Type::kB64) builder.malformed(".b64 was expected");
}

/// Semantics and scope of an arrival or a wait.
void take_order(Builder& builder) {
  if (builder.take("relaxed")) builder.operation.flags |= kRelaxed;
  builder.take_one_of({"release", "acquire"});
  if (builder.take_one_of({"cta", "cluster"}) == 1) builder.operation.flags |= kOfCluster;
}

void lower_init(Builder& builder) {
  take_object_type(builder);
  builder.expect_operands(2);
  take_space(builder, 0);
  builder.operation.r[0] = builder.source(1, Type::kU32);
  builder.operation.run = run_init;
}

void lower_invalidate(Builder& builder) {
  take_object_type(builder);
  builder.expect_operands(1);
  take_space(builder, 0);
  builder.operation.run = run_invalidate;
}

void lower_bytes(Builder& builder, bool complete) {
  take_order(builder);
  take_object_type(builder);
  builder.expect_operands(2);
  take_space(builder, 0);
  builder.operation.r[0] = builder.source(1, Type::kU32);
  builder.operation.mode = complete ? 1 : 0;
  builder.operation.run = run_bytes;
}

void lower_arrive(Builder& builder, bool drops) {
  Operation& operation = builder.operation;
  const bool expects = builder.take("expect_tx");
  const bool completes = !builder.take("noComplete");
  operation.flags = static_cast<std::uint8_t>((expects ? kExpects : 0) | (drops ? kDrops : 0));
  take_order(builder);
  take_object_type(builder);
  if (!completes && expects) builder.malformed(".noComplete and .expect_tx exclude each other");
  // A remote arrival has no state to return.
  const bool returns = builder.operand(0).kind != Operand::Kind::kAddress;
  const std::size_t at = returns ? 1 : 0;
  if (returns && builder.operand(0).kind != Operand::Kind::kSink) operation.r[0] = builder.destination(0, 8);
  builder.expect_operands(at + (expects || !completes ? 2 : 1), at + 2);
  take_space(builder, at);
  if (builder.operands() == at + 2) operation.r[expects ? 2 : 1] = builder.source(at + 1, Type::kU32);
  operation.run = run_arrive;
}

void lower_wait(Builder& builder, bool sleeps) {
  Operation& operation = builder.operation;
  const bool parity = builder.take("parity");
  operation.flags = static_cast<std::uint8_t>((parity ? kParity : 0) | (sleeps ? kMaySleep : 0));
  take_order(builder);
  take_object_type(builder);
  builder.expect_operands(3, sleeps ? 4 : 3);
  operation.r[0] = builder.predicate_destination(builder.operand(0));
  take_space(builder, 1);
  operation.r[1] = builder.source(2, parity ? Type::kU32 : Type::kB64);
  if (builder.operands() == 4) builder.source(3, Type::kU32);
  operation.run = run_wait;
}

void lower_pending_count(Builder& builder) {
  take_object_type(builder);
  builder.expect_operands(2);
  builder.operation.r[0] = builder.destination(0, 4);
  builder.operation.r[1] = builder.source(1, Type::kB64);
  builder.operation.run = run_pending_count;
}

void lower_mbarrier(Builder& builder) {
  builder.statistics_class("mbarrier");
  // expect_tx is also a modifier of arrivals, which come first for that.
  const auto kind = builder.take_one_of(
      {"init", "inval", "arrive_drop", "arrive", "expect_tx", "complete_tx", "test_wait", "try_wait", "pending_count"});
  if (!kind) {
    builder.unsupported(
        "init, inval, expect_tx, complete_tx, arrive, arrive_drop, test_wait, try_wait and pending_count "
        "are known");
  }
  switch (*kind) {
    case 0:
      return lower_init(builder);
    case 1:
      return lower_invalidate(builder);
    case 2:
      return lower_arrive(builder, true);
    case 3:
      return lower_arrive(builder, false);
    case 4:
      return lower_bytes(builder, false);
    case 5:
      return lower_bytes(builder, true);
    case 6:
      return lower_wait(builder, false);
    case 7:
      return lower_wait(builder, true);
    default:
      return lower_pending_count(builder);
  }
}

}  // namespace

void lower_copy_arrival(Builder& builder) {
  builder.statistics_class("mbarrier");
  if (!builder.take("arrive")) builder.malformed(".arrive is missing");
  builder.operation.flags = builder.take("noinc") ? 0 : kIncrements;
  take_object_type(builder);
  builder.expect_operands(1);
  take_space(builder, 0);
  builder.operation.run = run_copy_arrival;
}

void add_mbarriers(LowerTable& table) {
  table["mbarrier"] = lower_mbarrier;
}

}  // namespace flashmask::emulator
