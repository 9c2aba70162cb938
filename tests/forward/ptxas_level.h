#pragma once

#include <memory>
#include <string>

#include "flashmask/runtime.h"
#include "generator/generate.h"

namespace flashmask::forward_tests {

/// A kernel compiled with another optimisation level of ptxas than the library uses (3), and loaded. Only the PTX to
/// machine code step differs, which is what no emulator of PTX can check. Nothing is cached.
/// Throws Error{kNotFound} without NVRTC, Error{kCompile} with the log, and what Device::load() throws.
std::shared_ptr<const Kernel> compile_at_level(int ptxas_level, const generator::KernelSource& source,
                                               const std::shared_ptr<Device>& device, const Policy& policy);

}  // namespace flashmask::forward_tests
