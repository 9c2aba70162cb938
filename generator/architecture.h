#pragma once

#include <span>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::generator {

/// Limits of one architecture, from the CUDA programming guide, table "Technical Specifications per Compute
/// Capability".
struct Architecture {
  int compute_capability;      ///< 10 * major + minor
  bool has_arch_specific;      ///< whether an "a" variant exists
  int shared_bytes_per_block;  ///< with opt-in
  int shared_bytes_per_sm;
  int warps_per_sm;
  int registers_per_sm = 65536;
  int reserved_shared_bytes_per_block = 1024;
};

/// Every architecture that kernels can be generated for, ascending.
std::span<const Architecture> architectures();
/// The entry for a target; null if there is none.
const Architecture* find_architecture(const Target& target);

}  // namespace flashmask::generator
