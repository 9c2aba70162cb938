#include "tools/draw/tile_grid.h"

#include <algorithm>
#include <numeric>

namespace flashmask::draw {
namespace {

constexpr int ceil_div(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

TileClass class_of_cell(const TileMap& map, int batch, int head, int first_row, int first_column, int side) {
  const int end_row = std::min(first_row + side, map.row_tiles());
  const int end_column = std::min(first_column + side, map.key_tiles());
  const TileClass first = map.at(batch, head, first_row, first_column);
  for (int row = first_row; row < end_row; ++row) {
    for (int column = first_column; column < end_column; ++column) {
      if (map.at(batch, head, row, column) != first) return TileClass::kPartial;
    }
  }
  return first;
}

}  // namespace

TileGrid make_tile_grid(const TileMap& map, int batch, int head, int max_rows, int max_columns) {
  TileGrid grid;
  grid.tiles_per_cell = std::max(ceil_div(map.row_tiles(), max_rows), ceil_div(map.key_tiles(), max_columns));
  grid.rows = ceil_div(map.row_tiles(), grid.tiles_per_cell);
  grid.columns = ceil_div(map.key_tiles(), grid.tiles_per_cell);
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      grid.cells.push_back(class_of_cell(map, batch, head, row * grid.tiles_per_cell, column * grid.tiles_per_cell,
                                         grid.tiles_per_cell));
    }
  }
  const std::vector<std::int64_t> loads = map.row_load(batch, head);
  for (int row = 0; row < grid.rows; ++row) {
    const auto first = loads.begin() + row * grid.tiles_per_cell;
    const auto tiles = std::min<std::int64_t>(grid.tiles_per_cell, loads.end() - first);
    grid.loads.push_back((std::accumulate(first, first + tiles, std::int64_t{0}) + tiles - 1) / tiles);
  }
  return grid;
}

}  // namespace flashmask::draw
