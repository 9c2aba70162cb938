#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "emulator/machine/core/bulk_copy.h"
#include "emulator/machine/core/compiled_kernel.h"
#include "emulator/machine/core/global_memory.h"
#include "emulator/machine/core/mbarrier.h"
#include "emulator/machine/core/operation.h"
#include "emulator/machine/core/ordering.h"
#include "emulator/machine/core/race_shadow.h"
#include "emulator/machine/core/random.h"
#include "emulator/machine/core/turns.h"
#include "emulator/machine/core/warpgroup.h"

namespace flashmask::emulator {

constexpr std::uint32_t kLanes = 32;
constexpr std::uint32_t kAllLanes = ~0u;
/// Generic addresses of the spaces that are not global. Shared memory of a CTA of the cluster has its rank plus one
/// above the offset; rank bits of zero mean the CTA's own.
constexpr std::uint32_t kRankShift = 24;
constexpr std::uint32_t kMostClusterSize = 16;
constexpr std::uint64_t kSharedWindow = 0x7f00'0000'0000'0000;
constexpr std::uint64_t kLocalWindow = 0x7f10'0000'0000'0000;
constexpr std::uint64_t kParamWindow = 0x7f20'0000'0000'0000;
constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 32;

struct Cta;
struct Cluster;
struct Launch;

/// Lanes of a warp that stand at the same instruction.
struct LaneGroup {
  enum class State : std::uint8_t {
    kReady,
    kConverging,  ///< at an instruction that needs lanes which are not here yet
    kBarrier,     ///< arrived at a barrier that is not complete
    kWaiting,     ///< in try_wait of an mbarrier, setmaxnreg, or barrier.cluster.wait, for what is not there yet
  };
  std::uint32_t pc = 0;
  std::uint32_t mask = 0;
  State state = State::kReady;
  std::uint32_t wanted = 0;  ///< kConverging: the lanes that must be here
};

/// One cp.async of a warp, from its issue to the wait that covers it.
struct AsyncCopy {
  std::uint32_t mask = 0;  ///< lanes that did not wait yet
  std::uint32_t line = 0;
  std::uint32_t bytes = 0;                           ///< written per lane
  std::array<std::uint32_t, kLanes> destination{};   ///< shared offset
  std::array<std::uint64_t, kLanes> source{};        ///< global address
  std::array<std::uint32_t, kLanes> source_bytes{};  ///< read per lane; the rest is zeros
  std::array<std::uint64_t, kLanes> group{};         ///< number of the lane's commit group
  /// Operation that issued it, for the records of its accesses.
  std::uint32_t operation = 0;
};

/// A warp: registers, and where its lanes stand. The running group lives in `pc` and `active`, the others in `parked`.
struct Warp {
  std::byte* base[2] = {nullptr, nullptr};  ///< registers, constants
  std::uint32_t mask = 0;                   ///< lanes that run the current operation
  std::uint32_t active = 0;                 ///< lanes of the running group
  std::uint32_t pc = 0;
  std::uint32_t next = 0;      ///< set by control operations
  std::uint32_t limit = 0;     ///< the running group stops before this pc to look at the parked ones
  bool interrupted = false;    ///< look at the parked groups, or let another warp run, after this operation
  bool turn_ends = false;      ///< let another warp run after this operation
  bool yielding = false;       ///< let a parked group run although it stands higher
  std::uint32_t carry = 0;     ///< the condition code of add.cc and its kin
  std::uint32_t backward = 0;  ///< backward branches since other groups were last given a turn
  std::uint32_t told = 0;      ///< lanes that will run the operation again, which the trace has seen
  const Operation* operation = nullptr;
  Cta* cta = nullptr;
  Launch* launch = nullptr;
  std::uint32_t index = 0;   ///< in the CTA
  std::uint32_t exists = 0;  ///< lanes that are threads
  std::uint32_t exited = 0;
  std::vector<LaneGroup> parked;
  std::vector<AsyncCopy> copies;
  std::array<std::uint64_t, kLanes> committed{};  ///< commit groups closed so far
  WarpOrder order;
  /// Bulk groups closed so far, by lane.
  std::array<std::uint64_t, kLanes> bulk_committed{};
  /// A try_wait of these lanes may fail the next time: nobody else could go on.
  std::uint32_t times_out = 0;
  std::uint32_t cluster_arrived = 0;   ///< lanes that arrived at the running phase of the barrier of the cluster
  std::uint32_t cluster_released = 0;  ///< lanes whose phase has completed, and that did not wait yet
  WarpgroupPart products;              ///< wgmma of this warp
  std::uint32_t registers = 0;         ///< per thread, as setmaxnreg counts them
  std::byte* local = nullptr;          ///< local memory, lane after lane
  std::uint8_t* local_shadow = nullptr;

  template <class T>
  T* lanes(Ref ref) const {
    return reinterpret_cast<T*>(base[ref >> 31] + (ref & kOffsetMask));
  }
  std::uint32_t predicate(Ref ref) const {
    const std::uint32_t value = *lanes<std::uint32_t>(ref);
    return (ref & kNegatedBit) != 0 ? ~value : value;
  }
  /// Sets the bits of the running lanes.
  void set_predicate(Ref ref, std::uint32_t value) const {
    std::uint32_t* target = lanes<std::uint32_t>(ref);
    *target = (*target & ~mask) | (value & mask);
  }
  bool done() const { return exited == exists; }

  /// Throws a Fault with the whole report; `lane` names the thread.
  [[noreturn]] void fault(Fault::Kind kind, std::uint32_t lane, const std::string& what) const;
};

struct Barrier {
  struct Waiter {
    Warp* warp;
    std::uint32_t mask;
    Ref destination;  ///< of bar.red
    bool reduces_to_predicate;
  };
  std::uint32_t expected = 0;  ///< threads; 0 when nobody is here
  std::uint32_t arrived = 0;
  bool everybody = false;  ///< no count was given
  std::uint32_t line = 0;
  std::uint8_t reduction = 0;
  std::uint32_t ones = 0;   ///< bar.red: threads with a true predicate
  std::uint32_t voted = 0;  ///< bar.red: threads
  std::vector<Waiter> waiters;
  Order order;  ///< what those who arrived know
};

struct Cta {
  std::uint32_t id[3] = {0, 0, 0};
  std::uint32_t place = 0;  ///< among the resident ones
  std::uint32_t rank = 0;   ///< in its cluster
  Cluster* cluster = nullptr;
  Agent first_agent = 0;
  std::uint32_t agents = 0;  ///< at home here: the warps, then mbarriers
  std::uint32_t agents_used = 0;
  std::vector<Warp> warps;
  std::uint32_t live_warps = 0;
  AlignedBytes registers;
  AlignedBytes shared;
  AlignedBytes shared_shadow;
  AlignedBytes local;
  AlignedBytes local_shadow;
  std::array<Barrier, 16> barriers;
  /// cp.async instructions that not all of their lanes waited for.
  std::uint64_t async_copies_in_flight = 0;
  RaceShadow races;
  /// Asynchronous operations in flight that read a granule of 16 bytes.
  std::vector<std::uint16_t> pending_reads;
  Mbarriers mbarriers;
  std::vector<Warpgroup> warpgroups;
  std::uint32_t free_registers = 0;  ///< of the pool that setmaxnreg moves between warps
};

/// CTAs that start together and may reach into each other's shared memory. One CTA is a cluster too.
struct Cluster {
  std::vector<Cta*> ctas;
  std::uint32_t id[3] = {0, 0, 0};
  Agent first_agent = 0;
  Agent end_agent = 0;
  Order arriving;
  Order completed;
};

/// What all CTAs of a launch share.
struct Launch {
  const CompiledProgram* program = nullptr;
  const CompiledKernel* kernel = nullptr;
  LaunchShape shape;
  std::uint32_t threads = 0;  ///< per CTA
  std::uint32_t shared_bytes = 0;
  const std::byte* parameters = nullptr;
  std::uint64_t parameter_bytes = 0;
  GlobalMemory* memory = nullptr;
  std::vector<std::uint64_t> variable_addresses;
  std::uint64_t grid_workspace = 0;  ///< of a cooperative launch: the barrier of the grid is its second word
  std::vector<Cta*> resident;
  Random random{0};
  Statistics statistics;
  std::vector<std::uint64_t> class_counts;
  std::uint64_t instructions = 0;  ///< up to the start of the running slice
  std::uint64_t clock_reads = 0;
  /// Changes whenever something happens that somebody may wait for: a store, a barrier, an exit.
  std::uint64_t progress = 0;
  /// A warp became able to run, or stopped.
  bool roster_changed = false;
  /// Happens-before is checked.
  bool races = true;
  bool ordered_sums = false;
  bool pedantic = false;
  std::vector<std::string>* notes = nullptr;
  const std::function<void(const TraceStep&)>* trace = nullptr;
  Turns* turns = nullptr;
  std::vector<std::unique_ptr<BulkCopy>> bulk_copies;
  std::uint64_t bulk_copies_issued = 0;
  std::unordered_map<std::uint64_t, Publications> publications;
  Agent next_agent = 1;
  /// The CTAs that have started, in the order of their agents.
  struct Home {
    Agent first;
    std::uint32_t warps;
    std::uint32_t id[3];
  };
  std::vector<Home> homes;
  struct MbarrierHome {
    std::uint32_t offset;
    std::uint32_t cta[3];
  };
  std::unordered_map<Agent, MbarrierHome> mbarrier_homes;

  bool same_cluster(const Cta& cta, Agent agent) const {
    return agent - cta.cluster->first_agent < cta.cluster->end_agent - cta.cluster->first_agent;
  }
  bool is_warp(Agent agent) const;
  /// "CTA (0,1,0), warp 2, lane 5 (thread 69,0,0)", or the mbarrier.
  std::string name_of(Agent agent, std::uint32_t lanes) const;
  /// Keeps a note of pedantic mode, each once.
  void note(const std::string& text) const;
};

/// "CTA (0,1,0), warp 2, lane 5 (thread 69,0,0)".
std::string place_of(const Warp& warp, std::uint32_t lane);

/// Parks the running group at the current operation until all lanes of `wanted` are there. Returns true when they are.
bool converge(Warp& warp, std::uint32_t wanted);

/// Completes the barrier of the cluster when every thread that has not exited has arrived.
void complete_if_done(Launch& launch, Cluster& cluster);

/// Parks the running lanes at the current operation, which runs again when wake_waiting() has been called.
void wait_here(Warp& warp);

/// Moves the lanes of Warp::mask to `target`; the others go on.
void branch(Warp& warp, std::uint32_t target);

/// Ends the lanes of Warp::mask.
void exit_lanes(Warp& warp);

/// Makes copies of the running lanes complete that belong to a group before the newest `remaining` ones; with `all`,
/// also those that were never committed. They count as done by the threads themselves or, when given, by the running
/// phase of the mbarrier `by`.
void complete_copies(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool all, const Mbarrier* by = nullptr);

}  // namespace flashmask::emulator
