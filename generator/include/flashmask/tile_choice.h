#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask {

enum class TileVerdict {
  kChosen,
  kRefused,     ///< it does not fit the target
  kPassedOver,  ///< it fits, and another one is better
};
/// "chosen", "refused" or "passed over".
FLASHMASK_API std::string_view to_string(TileVerdict verdict);

/// A configuration that was considered.
struct TileCandidate {
  TileConfig config;
  ResourceEstimate resources;
  TileVerdict verdict = TileVerdict::kPassedOver;
  /// Why not this one, each as a sentence with its numbers: every limit that refuses it, or what is better in the
  /// chosen one. Empty for the chosen one.
  std::vector<std::string> reasons;
};

/// How a descriptor came to its default configuration.
struct TileChoice {
  TileConfig config;
  std::string reason;                     ///< why this one, as a sentence
  std::vector<TileCandidate> candidates;  ///< in their order of preference, the chosen one among them
};

/// The choice behind default_tile_config(). Pure. Throws what that throws.
FLASHMASK_API TileChoice choose_default_tile(const KernelDescriptor& descriptor);

}  // namespace flashmask
