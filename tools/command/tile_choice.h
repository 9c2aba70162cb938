#pragma once

#include <optional>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"
#include "tools/command/arguments.h"

namespace flashmask::command {

/// The configuration for --tile: the default one with another tile, its warps and what they share, stages and place of
/// Q changed only as far as the rules ask for it. Empty without a tile. Throws Error{kInvalidArgument} with every
/// broken rule of the nearest candidate when the tile cannot be had.
std::optional<TileConfig> choose_tile(const KernelDescriptor& descriptor, const std::optional<TileShape>& tile);

/// Throws Error{kUnsupported} with every rule that the descriptor breaks.
void require_supported(const KernelDescriptor& descriptor);

}  // namespace flashmask::command
