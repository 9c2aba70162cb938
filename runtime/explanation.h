#pragma once

#include <optional>

#include "flashmask/explanation.h"
#include "generator/generate.h"

namespace flashmask {

/// All that is known without looking at the cache: everything up to `digest`. `asked` is the configuration of the
/// request, empty for the default. Pure. Throws generator::NoFittingTile.
Explanation explain_source(const generator::KernelSource& source, const std::optional<TileConfig>& asked);

}  // namespace flashmask
