#pragma once

#include <string>

#include "tools/draw/tile_grid.h"

namespace flashmask::draw {

/// Cells that fit side by side into that many characters, frame and bars included; at least 1.
int cells_in_width(int characters);

/// A picture for a terminal, in UTF-8: two characters per cell, "██" full, "░░" partial, blank empty, in a frame. To
/// the right of each row a bar shows its share of the longest row's work.
std::string glyph_text(const TileGrid& grid);

}  // namespace flashmask::draw
