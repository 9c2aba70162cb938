#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "flashmask/mask_tiles.h"

namespace flashmask::draw {

/// The tiles of one mask head as a picture shows them, origin at the top left, row = query, column = key. A cell is one
/// tile, or a square of them where there are too many: full if all of them are, empty if all of them are, else partial.
struct TileGrid {
  int rows = 0;
  int columns = 0;
  int tiles_per_cell = 1;           ///< along either side
  std::vector<TileClass> cells;     ///< [rows, columns]
  std::vector<std::int64_t> loads;  ///< [rows]: the mean of its row tiles, rounded up, see TileMap::row_load()

  TileClass at(int row, int column) const {
    return cells[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)];
  }
};

/// The grid of at most `max_rows` by `max_columns` cells, each at least 1.
TileGrid make_tile_grid(const TileMap& map, int batch, int head, int max_rows, int max_columns);

}  // namespace flashmask::draw
