#pragma once

#include <string>

#include "flashmask/mask.h"
#include "flashmask/mask_tiles.h"

namespace flashmask::draw {

/// A picture of one mask head as an SVG file: its tiles, full, partial and empty, the bounds of its form over them, and
/// a legend. `map` is that of the mask. Equal input gives equal text. Characters of `title` that XML or ASCII does not
/// have become '?'.
std::string mask_svg(const Mask& mask, const TileMap& map, int batch, int head, const std::string& title);

}  // namespace flashmask::draw
