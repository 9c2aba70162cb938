#pragma once

#include <optional>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"
#include "tools/command/arguments.h"

namespace flashmask::command {

/// The configuration for --tile: the default one with another tile, its warps and what they share, stages and the place
/// and slots of queries changed only as far as the rules ask for it; for --config, that one; empty without either.
/// Throws Error{kInvalidArgument} when it cannot be had, with every broken rule, of a tile those of the nearest
/// candidate.
std::optional<TileConfig> choose_tile(const KernelDescriptor& descriptor, const std::optional<TileWish>& wish);

/// Throws Error{kUnsupported} with every rule that the descriptor breaks.
void require_supported(const KernelDescriptor& descriptor);

}  // namespace flashmask::command
