#pragma once

#include <string>
#include <string_view>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::generator {

/// Kernels that share a template: the instructions that they multiply with, and where they run.
struct KernelFamily {
  std::string_view name;     ///< "mma.sync", "wgmma"; "masks": those that multiply nothing
  std::string_view targets;  ///< "sm_80 and up"
  std::string note;          ///< what a descriptor's target leads one to expect and does not get yet; may be empty
};

/// Whether a legal descriptor is served by kernels that multiply with wgmma, and bring tiles by tensor copies.
bool uses_wgmma(const KernelDescriptor& descriptor);
/// The family that serves a legal descriptor.
KernelFamily family_of(const KernelDescriptor& descriptor);

}  // namespace flashmask::generator
