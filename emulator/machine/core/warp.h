#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emulator/machine/core/compiled_kernel.h"
#include "emulator/machine/core/global_memory.h"
#include "emulator/machine/core/operation.h"
#include "emulator/machine/core/random.h"

namespace flashmask::emulator {

constexpr std::uint32_t kLanes = 32;
constexpr std::uint32_t kAllLanes = ~0u;
/// Generic addresses of the spaces that are not global.
constexpr std::uint64_t kSharedWindow = 0x7f00'0000'0000'0000;
constexpr std::uint64_t kLocalWindow = 0x7f10'0000'0000'0000;
constexpr std::uint64_t kParamWindow = 0x7f20'0000'0000'0000;
constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 32;

struct Cta;
struct Launch;

/// Lanes of a warp that stand at the same instruction.
struct LaneGroup {
  enum class State : std::uint8_t {
    kReady,
    kConverging,  ///< at an instruction that needs lanes which are not here yet
    kBarrier,     ///< arrived at a barrier that is not complete
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
  bool yielding = false;       ///< let a parked group run although it stands higher
  std::uint32_t carry = 0;     ///< the condition code of add.cc and its kin
  std::uint32_t backward = 0;  ///< backward branches since other groups were last given a turn
  const Operation* operation = nullptr;
  Cta* cta = nullptr;
  Launch* launch = nullptr;
  std::uint32_t index = 0;   ///< in the CTA
  std::uint32_t exists = 0;  ///< lanes that are threads
  std::uint32_t exited = 0;
  std::vector<LaneGroup> parked;
  std::vector<AsyncCopy> copies;
  std::array<std::uint64_t, kLanes> committed{};  ///< commit groups closed so far
  std::byte* local = nullptr;                     ///< local memory, lane after lane
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
};

struct Cta {
  std::uint32_t id[3] = {0, 0, 0};
  std::uint32_t place = 0;  ///< among the resident ones
  std::vector<Warp> warps;
  std::uint32_t live_warps = 0;
  AlignedBytes registers;
  AlignedBytes shared;
  AlignedBytes shared_shadow;
  AlignedBytes local;
  AlignedBytes local_shadow;
  std::array<Barrier, 16> barriers;
  /// cp.async instructions that not all of their lanes waited for.
  std::uint64_t copies_in_flight = 0;
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
};

/// "CTA (0,1,0), warp 2, lane 5 (thread 69,0,0)".
std::string place_of(const Warp& warp, std::uint32_t lane);

/// Parks the running group at the current operation until all lanes of `wanted` are there. Returns true when they are.
bool converge(Warp& warp, std::uint32_t wanted);

/// Moves the lanes of Warp::mask to `target`; the others go on.
void branch(Warp& warp, std::uint32_t target);

/// Ends the lanes of Warp::mask.
void exit_lanes(Warp& warp);

/// Makes copies of the running lanes complete that belong to a group before the newest `remaining` ones; with `all`,
/// also those that were never committed.
void complete_copies(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool all);

}  // namespace flashmask::emulator
