#pragma once

#include <memory>
#include <span>
#include <vector>

#include "flashmask/runtime.h"
#include "generator/generate.h"

namespace flashmask::forward_tests {

/// A kernel compiled once with another optimisation level of ptxas than the library uses (3), and loaded by each of the
/// devices: a GPU takes the machine code, an emulator the PTX that it was made of. Only that step differs from the
/// library's way, which is what no emulator of PTX can check. Nothing is cached.
/// Throws Error{kNotFound} without NVRTC, Error{kCompile} with the log, and what Device::load() throws.
std::vector<std::shared_ptr<const Kernel>> compile_at_level(int ptxas_level, const generator::KernelSource& source,
                                                            std::span<const std::shared_ptr<Device>> devices,
                                                            const Policy& policy);

}  // namespace flashmask::forward_tests
