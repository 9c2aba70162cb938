#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::forward_tests {

/// FLASHMASK_TEST_DEVICE: "emulator" (the default) or "cuda". Throws std::runtime_error for anything else.
DeviceKind tested_device_kind();

/// The runtime on the device under test. On the emulator there is one device per order of warps and landings, so that
/// tests see several: the schedules in turn, each with seeds of its own. On a GPU the order has no meaning. Lives until
/// the program ends.
Runtime& tested_runtime(std::uint64_t order = 0);

/// Kernels of attention that share their templates, by a target whose kernels they are.
struct Family {
  std::string name;  ///< "mma_sync", "wgmma"
  Target target;
};
void PrintTo(const Family& family, std::ostream* stream);
/// All there are.
std::vector<Family> emulated_families();
/// Those that run on the device under test: all of them on the emulator and on sm_90, elsewhere "mma_sync" alone.
std::vector<Family> tested_families();
/// The runtime on the device under test; on the emulator a device of the family's target.
Runtime& tested_runtime(const Family& family, std::uint64_t order = 0);

/// A runtime on an emulated device of this target, whatever the device under test is.
std::unique_ptr<Runtime> emulated_runtime(const Target& target, std::uint64_t seed = 0);

/// The policy of all tests: one cache directory, in the build tree where there is one (so that the next run compiles
/// nothing), else in a temporary directory that the program removes.
Policy tested_policy();

}  // namespace flashmask::forward_tests
