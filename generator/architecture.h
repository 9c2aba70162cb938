#pragma once

#include <span>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/target_limits.h"

namespace flashmask::generator {

/// One architecture that kernels can be generated for.
struct Architecture {
  int compute_capability;  ///< 10 * major + minor
  bool has_arch_specific;  ///< whether an "a" variant exists
  TargetLimits limits;
};

/// Every architecture that kernels can be generated for, ascending.
std::span<const Architecture> architectures();
/// The entry for a target; null if there is none.
const Architecture* find_architecture(const Target& target);

}  // namespace flashmask::generator
