#pragma once

#include "flashmask/tile_choice.h"
#include "generator/invalid_request.h"

namespace flashmask::generator {

/// flashmask::choose_default_tile() and default_tile_config() for a legal descriptor and these limits instead of its
/// target's. They throw NoFittingTile.
TileChoice choose_default_tile(const KernelDescriptor& descriptor, const TargetLimits& limits);
TileConfig default_tile_config(const KernelDescriptor& descriptor, const TargetLimits& limits);

}  // namespace flashmask::generator
