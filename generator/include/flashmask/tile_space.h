#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask {

/// A configuration that could be tried, and what the model says of it.
struct SpaceMember {
  TileConfig config;
  ResourceEstimate resources;
};

/// A configuration that the descriptor may have, and why it is not worth a trial.
struct PrunedMember {
  TileConfig config;
  std::string reason;  ///< with numbers
};

/// The configurations of a descriptor that a tuner tries.
struct TileSpace {
  std::size_t combinations = 0;  ///< of all values that each parameter takes
  std::size_t legal = 0;         ///< of them, those that break no rule and fit the target
  /// What is left: the default first, then those that differ from it in fewer parameters, then by parameters. The order
  /// in which ties are settled.
  std::vector<SpaceMember> members;
  std::vector<PrunedMember> pruned;  ///< legal.
};

/// The space of a legal descriptor that computes attention. Pure: the same descriptor gives the same space. Throws
/// std::invalid_argument as default_tile_config() does, also for the passes of the masks, which have no tiles.
FLASHMASK_API TileSpace tile_space(const KernelDescriptor& descriptor);

/// In how many parameters two configurations differ; neighbouring key tiles (16 columns apart) count as one.
FLASHMASK_API int parameters_apart(const TileConfig& a, const TileConfig& b);

}  // namespace flashmask
