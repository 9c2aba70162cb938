#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "emulator/machine/statistics.h"

namespace flashmask::emulator {

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
    kPending,        ///< an access to bytes that an asynchronous copy still owns
    kTrap,           ///< the kernel executed trap
  };
  Fault(Kind kind, const std::string& report) : std::runtime_error(report), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

struct MachineOptions {
  /// Chooses the interleaving of warps and the landing of asynchronous copies. Equal seeds give equal runs.
  std::uint64_t seed = 0;
  /// CTAs that run interleaved with each other; more wait for a free place.
  int resident_ctas = 4;
  /// Dynamic shared memory that a launch may ask for, in bytes per CTA.
  std::size_t max_shared_bytes = 232448;
};

struct LaunchShape {
  std::uint32_t grid[3] = {1, 1, 1};
  std::uint32_t block[3] = {1, 1, 1};
  std::size_t dynamic_shared_bytes = 0;
};

/// A parsed PTX module: immutable, shared by any number of launches and threads.
class Program {
 public:
  /// Parses PTX text. Throws Fault{kSyntax or kUnsupported}, naming the line.
  static std::shared_ptr<const Program> parse(std::string_view ptx);
  virtual ~Program() = default;
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

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flashmask::emulator
