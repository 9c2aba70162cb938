#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "flashmask/runtime.h"

namespace flashmask::forward_tests {

/// FLASHMASK_TEST_DEVICE: "emulator" (the default) or "cuda". Throws std::runtime_error for anything else.
DeviceKind tested_device_kind();

/// The runtime on the device under test. On the emulator there is one device per seed, so that tests see several
/// interleavings; on a GPU the seed has no meaning. Lives until the program ends.
Runtime& tested_runtime(std::uint64_t seed = 0);

/// A runtime on an emulated device of this target, whatever the device under test is.
std::unique_ptr<Runtime> emulated_runtime(const Target& target, std::uint64_t seed = 0);

/// The policy of all tests: one cache directory, in the build tree where there is one (so that the next run compiles
/// nothing), else in a temporary directory that the program removes.
Policy tested_policy();

}  // namespace flashmask::forward_tests
