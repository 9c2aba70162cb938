#pragma once

#include <optional>
#include <span>
#include <string>

#include "flashmask/explanation.h"

namespace flashmask {

/// What one kernel of the cache says of itself.
struct CachedKernel {
  std::string digest;  ///< in hex
  KernelDescriptor descriptor;
  TileConfig config;
  std::string toolchain;  ///< "nvrtc 13.0.88"
};

/// A kernel that is looked for.
struct WantedKernel {
  std::string digest;  ///< in hex
  KernelDescriptor descriptor;
  TileConfig config;
  std::string toolchain;  ///< Policy::toolchain
};

/// The one that differs in the fewest fields of the descriptor, then of the configuration, then in the toolchain; of
/// several the one with the least digest. Configurations are compared only for one descriptor, as another one has other
/// defaults; kernels that are alike in both and differ in their digest are of another text. Empty for an empty cache.
/// Pure.
std::optional<NearestEntry> nearest_entry(const WantedKernel& wanted, std::span<const CachedKernel> cached);

}  // namespace flashmask
