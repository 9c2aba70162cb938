#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/machine/statistics.h"

namespace flashmask::emulator {

class Turns;

/// What a kernel did wrong, or what the machine refuses to run. `what()` is a whole report: the rule that was broken,
/// the PTX line (number and text), the CTA, warp and thread, the address or operand.
class Fault : public std::runtime_error {
 public:
  enum class Kind {
    kUnsupported,    ///< an instruction, type or directive that the machine does not know
    kSyntax,         ///< text that is not PTX
    kLaunch,         ///< a launch that no device of this kind would accept
    kUninitialised,  ///< a read of bytes that nobody wrote
    kOutOfBounds,    ///< an access outside every allocation
    kMisaligned,     ///< an address that is not a multiple of the access size
    kBarrier,        ///< threads of a warp or CTA that disagree about a barrier
    kDeadlock,       ///< nobody can go on
    kPending,        ///< an access to bytes or registers that an asynchronous operation still owns
    kRace,           ///< two accesses to a byte, one of them a write, that nothing orders
    kProxy,          ///< an asynchronous access to bytes written by ordinary stores, without fence.proxy.async between
    kRegister,       ///< registers of a wgmma touched without wgmma.fence, or a register budget that does not add up
    kMbarrier,       ///< an mbarrier used before its initialisation, past its counts, or two phases behind
    kDescriptor,     ///< a matrix descriptor, or a matrix in memory, whose description breaks a rule
    kTrap,           ///< the kernel executed trap
  };
  Fault(Kind kind, const std::string& report) : std::runtime_error(report), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// How warps take turns, and when asynchronous operations land.
enum class Schedule : std::uint8_t {
  kRandom,        ///< any ready warp, for a random number of instructions; landings anywhere
  kInOrder,       ///< the first ready warp until it waits; landings as early as possible
  kReversed,      ///< the last ready warp until it waits
  kStarved,       ///< one warp of each CTA, chosen by the seed, runs only when no other can
  kLateLandings,  ///< as kRandom, but an asynchronous operation lands only when nobody can go on without it
};
/// "random", "in-order", "reversed", "starved", "late-landings".
std::string_view name_of(Schedule schedule);
/// The schedule called `name`, if there is one.
std::optional<Schedule> schedule_named(std::string_view name);
/// Every schedule, for loops over them.
std::span<const Schedule> all_schedules();

/// One warp instruction that is about to run.
struct TraceStep {
  std::uint32_t cta[3];
  std::uint32_t warp;   ///< in its CTA
  std::uint32_t lanes;  ///< that run it
  std::uint32_t line;   ///< of the PTX text
  std::string_view text;
};

struct MachineOptions {
  /// Chooses the interleaving of warps and the landing of asynchronous operations. Equal seeds give equal runs.
  std::uint64_t seed = 0;
  Schedule schedule = Schedule::kRandom;
  /// CTAs that run interleaved with each other, rounded up to whole clusters; more wait for a free place.
  int resident_ctas = 4;
  /// Dynamic shared memory that a launch may ask for, in bytes per CTA.
  std::size_t max_shared_bytes = 232448;
  /// Checks that conflicting accesses are ordered by happens-before. Costs up to twice the time of an emulation.
  bool races = true;
  /// Bulk reductions that add floats to the same bytes must be ordered like stores, since the sum depends on their
  /// order: for kernels that promise the same bits in every run. Otherwise they may come as they like.
  bool ordered_sums = false;
  /// Also collects notes (Machine::take_notes) on what works on today's hardware but is not promised.
  bool pedantic = false;
  /// Called before every warp instruction, when set; slow. Lanes that must wait there for others are told of once.
  std::function<void(const TraceStep&)> trace = {};
};

struct LaunchShape {
  std::uint32_t grid[3] = {1, 1, 1};
  std::uint32_t block[3] = {1, 1, 1};
  std::size_t dynamic_shared_bytes = 0;
  /// CTAs of a cluster; the grid is a multiple of it.
  std::uint32_t cluster[3] = {1, 1, 1};
  /// As cuLaunchCooperativeKernel: all CTAs are resident at once, whatever MachineOptions::resident_ctas says, and may
  /// wait for each other in this_grid().sync(). The grid has at most 256 of them.
  bool cooperative = false;
};

/// The bounds of Machine::explore().
struct ExplorationLimits {
  /// Those who are passed over although they could go on, at most, in one run: each choice has a line of candidates,
  /// the warp that ran last first, then the others in a circle, then the operations that may land.
  int preemptions = 2;
  std::uint64_t most_runs = 2000;
  /// Every run must leave the bytes of the first one, or it is a Fault{kRace}: for kernels that are deterministic.
  bool same_results = false;
};
struct Exploration {
  std::uint64_t runs = 0;
  bool complete = false;  ///< every schedule within the bound was run
};

/// A parameter of an entry, as the PTX text declares it.
struct ParameterDeclaration {
  std::string name;
  std::size_t bytes = 0;
  std::size_t alignment = 1;  ///< the parameter lies at the next multiple of it
};
struct EntryDeclaration {
  std::string name;
  std::vector<ParameterDeclaration> parameters;  ///< in the order of the parameter space
};

/// A parsed PTX module: immutable, shared by any number of launches and threads.
class Program {
 public:
  /// Parses PTX text. Throws Fault{kSyntax or kUnsupported}, naming the line.
  static std::shared_ptr<const Program> parse(std::string_view ptx);
  virtual ~Program() = default;
  /// What can be launched, by name.
  virtual std::vector<EntryDeclaration> entries() const = 0;
};

/// A device address; 0 is null. Addresses of different allocations are never adjacent.
using Address = std::uint64_t;

/// A CPU that executes PTX, stricter than a GPU. One launch at a time per machine: calls are not thread-safe, but
/// independent machines are independent.
class Machine {
 public:
  explicit Machine(MachineOptions options = {});
  ~Machine();
  Machine(Machine&&) noexcept;
  Machine& operator=(Machine&&) noexcept;

  /// Global memory, 256-byte aligned; its bytes are uninitialised until written, and reading them is a Fault.
  Address allocate(std::size_t bytes);
  /// Releases an allocation; throws Fault{kOutOfBounds} for an address that allocate() did not return.
  void release(Address address);
  /// Copies from the host; the bytes count as initialised. Throws Fault{kOutOfBounds}.
  void write(Address destination, std::span<const std::byte> source);
  /// Copies to the host. Bytes that nobody wrote are a Fault{kUninitialised}.
  void read(std::span<std::byte> destination, Address source) const;
  /// Sets every byte to `value`.
  void fill(Address destination, std::uint8_t value, std::size_t bytes);

  /// Runs `entry` to its end. `parameters` are the bytes of the parameter space, laid out as PTX lays out the entry's
  /// parameters. Throws Fault. Returns what the launch did, counted.
  Statistics launch(const Program& program, std::string_view entry, const LaunchShape& shape,
                    std::span<const std::byte> parameters);

  /// Runs the same launch again and again, each time from the memory of now and with another order of the operations
  /// that threads can see of each other (barriers, atomics, mbarriers, asynchronous operations), and calls `check`
  /// after each run, which may read memory but not release any. Throws the first Fault, its report ended by the
  /// schedule that met it. For kernels of a few hundred such operations. The memory is that of the last run.
  Exploration explore(const Program& program, std::string_view entry, const LaunchShape& shape,
                      std::span<const std::byte> parameters, const ExplorationLimits& limits,
                      const std::function<void(Machine&)>& check = {});

  /// What MachineOptions::pedantic found since the last call, each line once.
  std::vector<std::string> take_notes();

 private:
  struct State;
  Statistics run(const Program& program, std::string_view entry, const LaunchShape& shape,
                 std::span<const std::byte> parameters, Turns& turns);

  std::unique_ptr<State> state_;
};

}  // namespace flashmask::emulator
