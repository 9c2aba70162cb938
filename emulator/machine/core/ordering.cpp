#include "emulator/machine/core/ordering.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// True when nobody of the warp who is still there is missing in `lanes`.
bool are_all_running(const Warp& warp, std::uint32_t lanes) {
  return (warp.exists & ~warp.exited & ~lanes) == 0;
}

/// What the lanes know, without what they did themselves since the last time they were together.
void add_known(const Warp& warp, std::uint32_t lanes, Order& order) {
  order.merge(warp.order.common);
  for (const WarpOrder::Extra& extra : warp.order.extras) {
    if ((extra.lanes & lanes) != 0) order.merge(extra.order);
  }
}

/// What the lanes did themselves. What others of the warp did before they exited is not part of it.
void add_own(const Warp& warp, std::uint32_t lanes, std::uint32_t clock, Knowledge& knowledge) {
  if ((warp.exists & ~lanes) == 0) {
    knowledge.raise(warp.order.agent, clock);
  } else {
    knowledge.raise_lanes(warp.order.agent, lanes, clock);
  }
}

Order empty_order(const Warp& warp) {
  return {warp.order.common.known.first(), warp.order.common.known.home_size()};
}

Order& extra_of(Warp& warp, std::vector<WarpOrder::Extra>& extras, std::uint32_t lanes) {
  for (WarpOrder::Extra& extra : extras) {
    if (extra.lanes == lanes) return extra.order;
  }
  extras.push_back({lanes, empty_order(warp)});
  return extras.back().order;
}

bool is_home(const Warp& warp, Agent agent) {
  return agent - warp.order.common.known.first() < warp.order.common.known.home_size();
}

/// True when an ordering of this scope reaches from the warp to the CTA at home with `agent`.
bool reaches(const Warp& warp, Agent agent, Scope scope) {
  if (is_home(warp, agent) || scope == Scope::kGpu) return true;
  return scope == Scope::kCluster && warp.launch->same_cluster(*warp.cta, agent);
}

/// Where `warp` publishes at a scope. All that the GPU sees is one publication, whoever makes it.
Publication& publication_of(const Warp& warp, Publications& publications, Scope scope) {
  const Agent first = warp.order.common.known.first();
  for (Publication& each : publications) {
    if (each.scope == scope && (scope == Scope::kGpu || each.first == first)) return each;
  }
  publications.push_back({empty_order(warp), scope, first});
  return publications.back();
}

}  // namespace

void note_seen(Warp& warp, std::uint32_t lanes, const Publication& publication, Scope scope) {
  const Scope narrower = std::min(scope, publication.scope);
  for (WarpOrder::Seen& each : warp.order.seen) {
    const Publication& known = each.publication;
    if (each.lanes != lanes || known.scope != narrower || known.first != publication.first) continue;
    each.publication.order.merge(publication.order);
    return;
  }
  warp.order.seen.push_back({lanes, {publication.order, narrower, publication.first}});
}

void release(Warp& warp, std::uint32_t lanes, Order& order) {
  add_known(warp, lanes, order);
  add_own(warp, lanes, warp.order.clock, order.known);
  ++warp.order.clock;
}

void acquire(Warp& warp, std::uint32_t lanes, const Order& order) {
  if (are_all_running(warp, lanes)) {
    warp.order.common.merge(order);
  } else {
    extra_of(warp, warp.order.extras, lanes).merge(order);
  }
}

void synchronise_lanes(Warp& warp, std::uint32_t lanes) {
  WarpOrder& own = warp.order;
  if (are_all_running(warp, lanes)) {
    for (const WarpOrder::Extra& extra : own.extras) {
      if ((extra.lanes & lanes) != 0) own.common.merge(extra.order);
    }
    own.extras.clear();
    add_own(warp, lanes, own.clock, own.common.known);
  } else {
    Order shared = empty_order(warp);
    for (const WarpOrder::Extra& extra : own.extras) {
      if ((extra.lanes & lanes) != 0) shared.merge(extra.order);
    }
    shared.known.raise_lanes(own.agent, lanes, own.clock);
    extra_of(warp, own.extras, lanes).merge(shared);
  }
  ++own.clock;
}

void fence_proxy(Warp& warp, std::uint32_t lanes, Memory memory) {
  WarpOrder& own = warp.order;
  if (are_all_running(warp, lanes)) {
    // Each lane has fenced all that it knows and did; nobody else is concerned until they synchronise.
    own.common.fenced[memory].merge(own.common.known);
    add_own(warp, lanes, own.clock, own.common.fenced[memory]);
    for (WarpOrder::Extra& extra : own.extras) extra.order.fenced[memory].merge(extra.order.known);
  } else {
    Order& order = extra_of(warp, own.extras, lanes);
    Knowledge fenced = own.common.known;
    for (const WarpOrder::Extra& extra : own.extras) {
      if ((lanes & ~extra.lanes) == 0) fenced.merge(extra.order.known);
    }
    fenced.raise_lanes(own.agent, lanes, own.clock);
    order.fenced[memory].merge(fenced);
  }
  ++own.clock;
}

void fence_memory(Warp& warp, std::uint32_t lanes, Scope scope) {
  WarpOrder& own = warp.order;
  for (WarpOrder::Seen& seen : own.seen) {
    const std::uint32_t here = seen.lanes & lanes;
    const Publication& publication = seen.publication;
    if (here == 0 || !reaches(warp, publication.first, std::min(scope, publication.scope))) continue;
    acquire(warp, here, publication.order);
    seen.lanes &= ~here;
  }
  std::erase_if(own.seen, [](const WarpOrder::Seen& seen) { return seen.lanes == 0; });
  for (WarpOrder::Fence& fence : own.fences) fence.lanes &= ~lanes;
  std::erase_if(own.fences, [](const WarpOrder::Fence& fence) { return fence.lanes == 0; });
  // One lane of a partial fence must not publish what only its neighbours know.
  std::uint32_t left = lanes;
  for (const WarpOrder::Extra& extra : own.extras) {
    const std::uint32_t apart = extra.lanes & left;
    if (apart == 0 || apart == lanes) continue;
    for (std::uint32_t each = apart; each != 0; each &= each - 1) {
      const std::uint32_t lane = each & (~each + 1);
      own.fences.push_back({lane, scope, own.clock, empty_order(warp)});
      add_known(warp, lane, own.fences.back().order);
    }
    left &= ~apart;
  }
  if (left != 0) {
    own.fences.push_back({left, scope, own.clock, empty_order(warp)});
    add_known(warp, left, own.fences.back().order);
  }
  ++own.clock;
}

void fence_initialisations(Warp& warp, std::uint32_t lanes, const Order& initialised) {
  warp.order.fences.push_back({lanes, Scope::kCluster, 0, initialised});
}

void release_fenced(Warp& warp, std::uint32_t lanes, Scope scope, Order& order) {
  for (const WarpOrder::Fence& fence : warp.order.fences) {
    const std::uint32_t here = fence.lanes & lanes;
    if (here == 0 || fence.scope < scope) continue;
    order.merge(fence.order);
    order.known.raise_lanes(warp.order.agent, here, fence.clock);
  }
}

void strong_access(Warp& warp, std::uint32_t lane, std::uint64_t key, const StrongAccess& access) {
  auto& places = warp.launch->publications;
  const std::uint32_t lanes = 1u << lane;
  const auto found = places.find(key);
  if (access.observes && found != places.end()) {
    for (const Publication& each : found->second) {
      if (!reaches(warp, each.first, std::min(access.scope, each.scope))) continue;
      if (access.acquires) {
        acquire(warp, lanes, each.order);
      } else {
        note_seen(warp, lanes, each, access.scope);
      }
    }
  }
  if (!access.writes) return;
  if (access.replaces && found != places.end()) places.erase(found);
  if (access.releases) {
    release(warp, lanes, publication_of(warp, places[key], access.scope).order);
    return;
  }
  for (const WarpOrder::Fence& fence : warp.order.fences) {
    if ((fence.lanes & lanes) == 0) continue;
    Order& order = publication_of(warp, places[key], std::min(fence.scope, access.scope)).order;
    order.merge(fence.order);
    order.known.raise_lanes(warp.order.agent, lanes, fence.clock);
  }
}

std::uint64_t shared_location(const Cta& cta, std::uint64_t offset) {
  return std::uint64_t{1} << 63 | std::uint64_t{cta.first_agent} << kRankShift | offset;
}

void forget_publications(Launch& launch, const Cta& cta) {
  const std::uint64_t first = shared_location(cta, 0);
  std::erase_if(launch.publications, [&](const auto& each) { return each.first >> kRankShift == first >> kRankShift; });
}

Accessor accessor_of(const Warp& warp, std::uint32_t lanes, std::uint32_t flags, Memory memory) {
  const WarpOrder& own = warp.order;
  const auto operation = static_cast<std::uint32_t>(warp.operation - warp.launch->kernel->code.data());
  Accessor by;
  by.warp = &warp;
  by.record = {own.agent, own.clock, lanes, operation << kFlagBits | flags};
  by.memory = memory;
  by.home = own.common.known.home();
  by.first = own.common.known.first();
  by.home_size = own.common.known.home_size();
  by.fenced_home = own.common.fenced[memory].home();
  return by;
}

bool ordered_slowly(const AccessRecord& earlier, const Accessor& by, bool& fence_missing) {
  const AccessRecord& mine = by.record;
  const Warp& warp = *by.warp;
  const std::uint32_t either = earlier.where | mine.where;
  if ((either & (kConstantRead | kWrites)) == (kConstantRead | kWrites)) return false;
  if ((earlier.where & mine.where & kStrong) != 0) {
    const auto scope_of = [](std::uint32_t where) { return static_cast<Scope>((where & kScopeBits) >> kScopeShift); };
    const Scope narrower = std::min(scope_of(earlier.where), scope_of(mine.where));
    if (reaches(warp, earlier.agent, narrower)) return true;
  }
  const bool own = earlier.agent == mine.agent;
  // Lanes that run one instruction together may write the same bytes: one of them wins.
  const bool together = own && earlier.clock == mine.clock && earlier.where == mine.where;
  if (together && mine.writes() && (earlier.lanes & ~warp.mask) == 0) return true;
  const bool crosses = crosses_proxies(earlier, mine);
  const bool collective = (earlier.where & kCollective) != 0;
  for (std::uint32_t left = mine.lanes; left != 0; left &= left - 1) {
    const std::uint32_t lane = left & (~left + 1);
    // A lane knows its own past without being told.
    std::uint32_t known = own ? earlier.lanes & ~lane : earlier.lanes;
    std::uint32_t fenced = crosses ? earlier.lanes : 0;
    const auto look = [&](const Order& order) {
      known = order.known.uncovered(earlier.agent, known, earlier.clock);
      fenced = order.fenced[by.memory].uncovered(earlier.agent, fenced, earlier.clock);
    };
    look(warp.order.common);
    for (const WarpOrder::Extra& extra : warp.order.extras) {
      if ((extra.lanes & lane) != 0) look(extra.order);
    }
    if (collective && ((own && (earlier.lanes & lane) != 0) || known != earlier.lanes)) known = 0;
    fence_missing = known == 0 && fenced != 0;
    if (known != 0 || fenced != 0) return false;
  }
  return true;
}

namespace {

std::string describe(const Warp& warp, const AccessRecord& earlier) {
  const Launch& launch = *warp.launch;
  const Operation& operation = launch.kernel->code[earlier.operation()];
  const char* verb = earlier.writes() ? "write" : "read";
  const char* kind = (earlier.where & kAsynchronous) != 0 ? "an asynchronous "
                     : (earlier.where & kStrong) != 0     ? "an atomic "
                                                          : "a ";
  return fmt::format("{}{} by {}:\n  {}", kind, verb, launch.name_of(earlier.agent, earlier.lanes),
                     launch.program->quote(operation.line));
}

std::string remedy(const Warp& warp, const AccessRecord& earlier, const AccessRecord& mine, bool only_the_fence) {
  if (only_the_fence) {
    return "fence.proxy.async between the two, by the thread that wrote, before it signals the barrier that orders "
           "them";
  }
  if (((earlier.where | mine.where) & kConstantRead) != 0) {
    return "nothing: ld.global.nc promises that nobody writes the bytes during the launch; use a plain ld.global";
  }
  if (earlier.agent == mine.agent) return "bar.warp.sync (__syncwarp) between the two lanes";
  if (!warp.launch->is_warp(earlier.agent)) {
    return "a wait for the phase of the mbarrier that the copy completes";
  }
  if (is_home(warp, earlier.agent)) {
    return "a barrier of the CTA (bar.sync), an mbarrier that the first arrives at and the second waits for, or a "
           "release and an acquire of one location";
  }
  return "a barrier of the cluster, or a release by the first and an acquire by the second of one location, at a scope "
         "that holds both";
}

}  // namespace

void fault_conflict(const Warp& warp, std::uint32_t lane, const Accessor& by, const Conflict& conflict,
                    const std::string& what) {
  const char* verb = by.record.writes() ? "writes" : "reads";
  const char* kind = (by.record.where & kAsynchronous) != 0 ? " asynchronously" : "";
  const std::string way = remedy(warp, conflict.earlier, by.record, conflict.only_the_fence_is_missing);
  const std::string first = describe(warp, conflict.earlier);
  if (conflict.only_the_fence_is_missing) {
    warp.fault(Fault::Kind::kProxy, lane,
               fmt::format("proxy: it {}{} {}, which ordinary stores wrote without a proxy fence since; that is {}\n"
                           "what would order them: {}\nand this access is",
                           verb, kind, what, first, way));
  }
  warp.fault(Fault::Kind::kRace, lane,
             fmt::format("race: it {}{} {}, and nothing orders that after {}\nwhat would order them: {}\nand this "
                         "access is",
                         verb, kind, what, first, way));
}

}  // namespace flashmask::emulator
