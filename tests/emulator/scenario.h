#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/machine/machine.h"

namespace flashmask::emulator::test {

/// A small kernel for sm_90a and how it is launched. Its body finds the registers %thread, %lane, %warp, %cta, %rank
/// (in the cluster); the predicates %t0, %l0, %w0, %w1, %c0, %c1 (thread 0, lane 0 of a warp, warp 0 or 1, CTA 0 or 1);
/// %out and %in (.b64), the addresses of two buffers of kBufferBytes; %mine (.b64), the word of the thread in %out;
/// and, to use freely, %r0 to %r15 (.b32), %x0 to %x7 (.b64), %h0 to %h3 (.b16), %p0 to %p7 (.pred). In shared memory
/// are `data` (kBufferBytes, not initialised) and the mbarriers `full`, `empty` and `third`; in global memory `flag`, a
/// zero.
struct Scenario {
  std::string body;
  std::uint32_t threads = 64;
  std::uint32_t ctas = 1;
  std::uint32_t cluster = 1;

  static constexpr std::size_t kBufferBytes = 4096;

  std::string ptx() const;
  LaunchShape launch_shape() const;
};

/// A machine with the buffers of a scenario: %out is zeros, word i of %in is i.
struct Stage {
  explicit Stage(const MachineOptions& options = {});
  Statistics run(const Scenario& scenario);
  Exploration explore(const Scenario& scenario, const ExplorationLimits& limits,
                      const std::function<void(Machine&)>& check = {});
  std::vector<std::uint32_t> words(std::size_t count) const;

  Machine machine;
  Address out = 0;
  Address in = 0;
};

/// Passes when the scenario runs to its end under every schedule and several seeds.
void expect_legal(const Scenario& scenario);
/// Passes when the scenario is reported under every schedule and several seeds, as a fault of this kind whose report
/// holds all of `pieces`.
void expect_fault(const Scenario& scenario, Fault::Kind kind, const std::vector<std::string>& pieces = {});
void expect_race(const Scenario& scenario, const std::vector<std::string>& pieces = {});

}  // namespace flashmask::emulator::test
