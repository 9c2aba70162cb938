#include "emulator/machine/core/flow.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "emulator/machine/core/race_check.h"

namespace flashmask::emulator {
namespace {

/// Backward branches that a group may take while others of its warp are parked, before these get a turn.
constexpr std::uint32_t kPatience = 16;

/// Only another warp, or an asynchronous operation, can make the group ready.
bool waits_for_others(const LaneGroup& group) {
  return group.state == LaneGroup::State::kBarrier || group.state == LaneGroup::State::kWaiting;
}

void park_active(Warp& warp) {
  if (warp.active == 0) return;
  warp.parked.push_back({warp.pc, warp.active, LaneGroup::State::kReady, 0});
  warp.active = 0;
}

void merge_parked(Warp& warp) {
  std::vector<LaneGroup>& parked = warp.parked;
  for (std::size_t i = 0; i < parked.size(); ++i) {
    if (waits_for_others(parked[i])) continue;
    for (std::size_t j = i + 1; j < parked.size();) {
      if (parked[j].pc == parked[i].pc && !waits_for_others(parked[j])) {
        parked[i].mask |= parked[j].mask;
        parked[i].state = LaneGroup::State::kReady;
        parked.erase(parked.begin() + static_cast<std::ptrdiff_t>(j));
        warp.backward = 0;
      } else {
        ++j;
      }
    }
  }
}

std::string describe_groups(const Warp& warp) {
  std::string text;
  for (const LaneGroup& group : warp.parked) {
    const std::uint32_t line = warp.launch->kernel->code[group.pc].line;
    std::string waits;
    if (group.state == LaneGroup::State::kConverging) {
      waits = fmt::format(", waits for lanes {:#010x}", group.wanted & ~group.mask);
    } else if (group.state == LaneGroup::State::kBarrier) {
      waits = ", past a barrier that is not complete";
    } else if (group.state == LaneGroup::State::kWaiting) {
      waits = ", which waits";
    }
    text += fmt::format("\n    lanes {:#010x} at {}{}", group.mask, warp.launch->program->quote(line), waits);
  }
  if (warp.exited != 0) text += fmt::format("\n    lanes {:#010x} have exited", warp.exited);
  return text;
}

}  // namespace

void select_group(Warp& warp) {
  park_active(warp);
  merge_parked(warp);
  std::vector<LaneGroup>& parked = warp.parked;
  std::size_t best = parked.size();
  for (std::size_t i = 0; i < parked.size(); ++i) {
    if (parked[i].state != LaneGroup::State::kReady) continue;
    if (best == parked.size() || parked[i].pc < parked[best].pc) best = i;
  }
  if (warp.yielding) {
    warp.yielding = false;
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < parked.size(); ++i) {
      if (i != best && parked[i].state == LaneGroup::State::kReady) others.push_back(i);
    }
    if (!others.empty()) {
      best = others[warp.launch->random.below(static_cast<std::uint32_t>(others.size()))];
    }
  }
  if (best == parked.size()) {
    warp.launch->roster_changed = true;
    if (parked.empty() || std::any_of(parked.begin(), parked.end(), waits_for_others)) return;
    const LaneGroup& stuck = parked.front();
    warp.operation = &warp.launch->kernel->code[stuck.pc];
    warp.fault(Fault::Kind::kBarrier, static_cast<std::uint32_t>(std::countr_zero(stuck.mask)),
               "lanes of one warp wait at different instructions for each other:" + describe_groups(warp));
  }
  warp.pc = parked[best].pc;
  warp.active = parked[best].mask;
  parked.erase(parked.begin() + static_cast<std::ptrdiff_t>(best));
  warp.limit = ~0u;
  for (const LaneGroup& group : parked) {
    if (!waits_for_others(group) && group.pc > warp.pc) warp.limit = std::min(warp.limit, group.pc);
  }
}

bool converge(Warp& warp, std::uint32_t wanted) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.mask));
  const std::uint32_t gone = wanted & (warp.exited | ~warp.exists);
  if (gone != 0) {
    warp.fault(
        Fault::Kind::kBarrier, lane,
        fmt::format("lanes {:#010x} must take part in this instruction, but lanes {:#010x} have exited or do not "
                    "exist",
                    wanted, gone));
  }
  if ((warp.mask & wanted) == wanted) return true;
  warp.told |= warp.mask;
  warp.parked.push_back({warp.pc, warp.mask, LaneGroup::State::kConverging, wanted});
  warp.active &= ~warp.mask;
  warp.interrupted = true;
  // It will be counted when it runs.
  --warp.launch->class_counts[warp.operation->statistics_class];
  return false;
}

void complete_if_done(Launch& launch, Cluster& cluster) {
  bool anybody = false;
  for (const Cta* cta : cluster.ctas) {
    for (const Warp& warp : cta->warps) {
      if ((warp.exists & ~warp.exited & ~warp.cluster_arrived) != 0) return;
      anybody = anybody || warp.cluster_arrived != 0;
    }
  }
  if (!anybody) return;
  for (Cta* cta : cluster.ctas) {
    for (Warp& warp : cta->warps) warp.cluster_released |= std::exchange(warp.cluster_arrived, 0);
  }
  cluster.completed = cluster.arriving;
  ++launch.progress;
  ++launch.statistics.barriers;
  wake_waiting(launch);
}

void wait_here(Warp& warp) {
  warp.told |= warp.mask;
  warp.parked.push_back({warp.pc, warp.mask, LaneGroup::State::kWaiting, 0});
  warp.active &= ~warp.mask;
  warp.interrupted = true;
  // It will be counted when it goes on.
  --warp.launch->class_counts[warp.operation->statistics_class];
}

void branch(Warp& warp, std::uint32_t target) {
  const std::uint32_t taken = warp.mask;
  if (taken == warp.active) {
    warp.next = target;
    if (!warp.parked.empty()) warp.interrupted = true;
  } else {
    // The ones that fall through stay the running group until select_group() decides.
    warp.parked.push_back({target, taken, LaneGroup::State::kReady, 0});
    warp.active &= ~taken;
    warp.interrupted = true;
  }
  if (target <= warp.pc && !warp.parked.empty() && ++warp.backward > kPatience) {
    warp.backward = warp.launch->random.below(kPatience);
    warp.yielding = true;
  }
}

/// The last thread of a CTA goes: what its copies write then is no longer its memory.
void refuse_copies_in_flight(Warp& warp) {
  for (const Warp& each : warp.cta->warps) {
    for (const AsyncCopy& copy : each.copies) {
      if (copy.mask == 0) continue;
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(copy.mask));
      warp.fault(Fault::Kind::kPending, static_cast<std::uint32_t>(std::countr_zero(warp.mask)),
                 fmt::format("the CTA ends while an asynchronous copy of {} is under way, and its shared memory may be "
                             "another CTA's when that lands; that copy is\n  {}\nwhat would order them: "
                             "cp.async.wait_all by that thread\nand this is",
                             place_of(each, lane), warp.launch->program->quote(copy.line)));
    }
  }
}

void exit_lanes(Warp& warp) {
  warp.exited |= warp.mask;
  warp.active &= ~warp.mask;
  warp.interrupted = true;
  // Groups that wait for these lanes look again, and find that they are gone.
  for (LaneGroup& group : warp.parked) {
    if (group.state == LaneGroup::State::kConverging) group.state = LaneGroup::State::kReady;
  }
  ++warp.launch->progress;
  Cta& cta = *warp.cta;
  complete_if_done(*warp.launch, *cta.cluster);
  if (!warp.done()) return;
  finish_products(warp);
  if (cta.live_warps == 1) {
    refuse_copies_in_flight(warp);
    finish_bulk_copies(warp);
    forget_publications(*warp.launch, cta);
    if (warp.launch->races) check_remote_accesses(warp);
  }
  --cta.live_warps;
  warp.launch->roster_changed = true;
  for (std::uint32_t id = 0; id < cta.barriers.size(); ++id) {
    const Barrier& barrier = cta.barriers[id];
    if (barrier.arrived == 0 || !barrier.everybody) continue;
    warp.fault(Fault::Kind::kBarrier, static_cast<std::uint32_t>(std::countr_zero(warp.mask)),
               fmt::format("the warp exits while {} threads of its CTA wait for all others at barrier {} ({})",
                           barrier.arrived, id, warp.launch->program->quote(barrier.line)));
  }
}

namespace {

void finish(Warp& last, Barrier& barrier) {
  std::uint32_t result = barrier.ones;
  if (barrier.reduction == 'a') result = barrier.ones == barrier.voted ? 1 : 0;
  if (barrier.reduction == 'o') result = barrier.ones != 0 ? 1 : 0;
  for (const Barrier::Waiter& waiter : barrier.waiters) {
    Warp& warp = *waiter.warp;
    if (warp.launch->races) acquire(warp, waiter.mask, barrier.order);
    for (LaneGroup& group : warp.parked) {
      if (group.state == LaneGroup::State::kBarrier && (group.mask & waiter.mask) != 0) {
        group.state = LaneGroup::State::kReady;
      }
    }
    if (waiter.destination == kNoRef) continue;
    if (waiter.reduces_to_predicate) {
      std::uint32_t* target = warp.lanes<std::uint32_t>(waiter.destination);
      *target = result != 0 ? *target | waiter.mask : *target & ~waiter.mask;
    } else {
      std::uint32_t* target = warp.lanes<std::uint32_t>(waiter.destination);
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        if ((waiter.mask >> lane & 1) != 0) target[lane] = result;
      }
    }
  }
  Order order = std::move(barrier.order);
  order.clear();
  barrier = Barrier{};
  barrier.order = std::move(order);
  ++last.launch->progress;
  ++last.launch->statistics.barriers;
  last.launch->roster_changed = true;
}

}  // namespace

void arrive(Warp& warp, const BarrierArrival& arrival) {
  if (arrival.aligned && !converge(warp, warp.exists)) return;
  Cta& cta = *warp.cta;
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(warp.mask));
  if (arrival.id >= cta.barriers.size()) {
    warp.fault(Fault::Kind::kBarrier, lane, fmt::format("barrier {} does not exist; 0 to 15 do", arrival.id));
  }
  if (arrival.count % kLanes != 0) {
    warp.fault(Fault::Kind::kBarrier, lane,
               fmt::format("a barrier for {} threads; the count must be a multiple of 32", arrival.count));
  }
  const auto all = static_cast<std::uint32_t>(cta.warps.size()) * kLanes;
  const std::uint32_t expected = arrival.count != 0 ? arrival.count : all;
  Barrier& barrier = cta.barriers[arrival.id];
  if (barrier.arrived == 0) {
    barrier.expected = expected;
    barrier.line = warp.operation->line;
    barrier.everybody = arrival.count == 0;
    barrier.reduction = static_cast<std::uint8_t>(arrival.reduction);
  } else if (barrier.expected != expected) {
    warp.fault(Fault::Kind::kBarrier, lane,
               fmt::format("barrier {} is entered for {} threads here, but for {} threads at {}", arrival.id, expected,
                           barrier.expected, warp.launch->program->quote(barrier.line)));
  } else if (barrier.reduction != static_cast<std::uint8_t>(arrival.reduction)) {
    warp.fault(Fault::Kind::kBarrier, lane,
               fmt::format("barrier {} is entered by a different kind of bar instruction at {}", arrival.id,
                           warp.launch->program->quote(barrier.line)));
  }
  if (barrier.everybody && cta.live_warps != cta.warps.size()) {
    warp.fault(Fault::Kind::kBarrier, lane,
               fmt::format("barrier {} waits for all {} threads of the CTA, but {} of its {} warps have exited",
                           arrival.id, expected, cta.warps.size() - cta.live_warps, cta.warps.size()));
  }
  // The last warp of a CTA may have fewer threads than lanes; the missing ones count as arrived with its first group.
  std::uint32_t arriving = warp.mask;
  if (arrival.aligned || (warp.mask & 1) != 0) arriving |= ~warp.exists;
  barrier.arrived += static_cast<std::uint32_t>(std::popcount(arriving));
  if (barrier.arrived > barrier.expected) {
    warp.fault(
        Fault::Kind::kBarrier, lane,
        fmt::format("{} threads arrive at barrier {}, which is for {}", barrier.arrived, arrival.id, barrier.expected));
  }
  if (warp.launch->races) release(warp, warp.mask, barrier.order);
  barrier.ones += static_cast<std::uint32_t>(std::popcount(arrival.truths & warp.mask));
  barrier.voted += static_cast<std::uint32_t>(std::popcount(warp.mask));
  if (arrival.waits) {
    barrier.waiters.push_back(
        {&warp, warp.mask, arrival.destination, arrival.reduction == 'a' || arrival.reduction == 'o'});
    warp.parked.push_back({warp.pc + 1, warp.mask, LaneGroup::State::kBarrier, 0});
    warp.active &= ~warp.mask;
    warp.interrupted = true;
  }
  if (barrier.arrived == barrier.expected) finish(warp, barrier);
  warp.launch->turns->visible(warp);
}

std::string standings(const Launch& launch) {
  std::string text;
  for (const Cta* cta : launch.resident) {
    if (cta == nullptr) continue;
    for (const Warp& warp : cta->warps) {
      if (warp.done()) continue;
      text += fmt::format("\n  CTA ({},{},{}), warp {}:", cta->id[0], cta->id[1], cta->id[2], warp.index);
      if (warp.active != 0) {
        const std::uint32_t line = launch.kernel->code[warp.pc].line;
        text += fmt::format("\n    lanes {:#010x} at {}", warp.active, launch.program->quote(line));
      }
      text += describe_groups(warp);
    }
    for (std::uint32_t id = 0; id < cta->barriers.size(); ++id) {
      const Barrier& barrier = cta->barriers[id];
      if (barrier.arrived == 0) continue;
      text += fmt::format("\n  CTA ({},{},{}), barrier {}: {} of {} threads have arrived ({})", cta->id[0], cta->id[1],
                          cta->id[2], id, barrier.arrived, barrier.expected, launch.program->quote(barrier.line));
    }
    for (const Mbarrier& mbarrier : cta->mbarriers.all()) {
      text += fmt::format(
          "\n  CTA ({},{},{}), mbarrier at shared+{:#x}: {} phases have completed, the next one waits for "
          "{} of {} arrivals and {} bytes",
          cta->id[0], cta->id[1], cta->id[2], mbarrier.offset, mbarrier.phase, mbarrier.pending, mbarrier.expected,
          mbarrier.bytes);
    }
  }
  return text;
}

}  // namespace flashmask::emulator
