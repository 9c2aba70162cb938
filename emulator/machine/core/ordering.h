#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/machine/core/knowledge.h"
#include "emulator/machine/core/race_shadow.h"

namespace flashmask::emulator {

struct Warp;
struct Cta;
struct Launch;

/// How far the ordering of an instruction reaches; of two that synchronise, both must reach the other.
enum class Scope : std::uint8_t { kCta, kCluster, kGpu };

/// What writes at a location have published to the threads of a scope around a CTA.
struct Publication {
  Order order;
  Scope scope = Scope::kCta;
  Agent first = 0;  ///< of the home of the CTA that published
};
/// Of one location. What reaches different threads stands apart.
using Publications = std::vector<Publication>;

/// What the lanes of a warp know of others. All lanes know `common`; what single lanes learn stands apart until
/// bar.warp.sync, or a barrier of the whole warp, shares it.
struct WarpOrder {
  Agent agent = 0;
  std::uint32_t clock = 1;
  Order common;
  struct Extra {
    std::uint32_t lanes;
    Order order;
  };
  std::vector<Extra> extras;
  /// The last fence of lanes: what a relaxed write that follows it publishes.
  struct Fence {
    std::uint32_t lanes;
    Scope scope;
    std::uint32_t clock;
    Order order;
  };
  std::vector<Fence> fences;
  /// What relaxed reads have seen published, for the next fence of these lanes to acquire.
  struct Seen {
    std::uint32_t lanes;
    Publication publication;
  };
  std::vector<Seen> seen;
};

/// Adds to `order` what `lanes` of the warp know and did until now; what they do from here on is later.
void release(Warp& warp, std::uint32_t lanes, Order& order);
/// The lanes know all of `order`.
void acquire(Warp& warp, std::uint32_t lanes, const Order& order);
/// bar.warp.sync: the lanes know what each of them knows and did.
void synchronise_lanes(Warp& warp, std::uint32_t lanes);
/// fence.proxy.async, of one memory
void fence_proxy(Warp& warp, std::uint32_t lanes, Memory memory);
/// fence.mbarrier_init: a relaxed signal that follows publishes `initialised`, and nothing else.
void fence_initialisations(Warp& warp, std::uint32_t lanes, const Order& initialised);
/// A relaxed signal of a scope: adds to `order` what the fences of the lanes before it publish.
void release_fenced(Warp& warp, std::uint32_t lanes, Scope scope, Order& order);
/// The lanes have seen `publication` by a relaxed read or wait of this scope: their next fence acquires it.
void note_seen(Warp& warp, std::uint32_t lanes, const Publication& publication, Scope scope);
/// fence.acq_rel, fence.sc, membar
void fence_memory(Warp& warp, std::uint32_t lanes, Scope scope);

struct StrongAccess {
  bool acquires = false;
  bool releases = false;
  bool observes = false;  ///< the lane gets to see the value that was there
  bool writes = false;
  bool replaces = false;  ///< a store, which ends what earlier writes published; an atomic carries it on
  Scope scope = Scope::kGpu;
};
/// A strong access of one lane to the location `key`, after it has been carried out.
void strong_access(Warp& warp, std::uint32_t lane, std::uint64_t key, const StrongAccess& access);

/// A location of shared memory among those where strong accesses meet: above all global addresses.
std::uint64_t shared_location(const Cta& cta, std::uint64_t offset);
/// The CTA has ended: nobody meets in its shared memory any more.
void forget_publications(Launch& launch, const Cta& cta);

/// Who `lanes` of the warp are for the shadow of a memory, when they run the current operation.
Accessor accessor_of(const Warp& warp, std::uint32_t lanes, std::uint32_t flags, Memory memory);

/// Throws the Fault for an access to `what` ("16 bytes at shared+0x400") that is not ordered after `conflict.earlier`.
[[noreturn]] void fault_conflict(const Warp& warp, std::uint32_t lane, const Accessor& by, const Conflict& conflict,
                                 const std::string& what);

}  // namespace flashmask::emulator
