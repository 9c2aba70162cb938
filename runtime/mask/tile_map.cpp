#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "flashmask/error.h"
#include "flashmask/mask_tiles.h"

namespace flashmask {
namespace {

int tiles_of(int length, int tile) {
  // Not (length + tile - 1) / tile: a tile may be any int.
  return length / tile + (length % tile != 0);
}

void check_tile(const char* name, int tile, int tiles) {
  if (tile >= 0 && tile < tiles) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} = {}: there are {}, counted from 0", name, tile, tiles));
}

void extend(TileSummary& summary, TileClass tile_class, int tile) {
  if (tile_class == TileClass::kEmpty) return;
  if (summary.last < 0) summary.first = tile;
  summary.last = tile;
  ++(tile_class == TileClass::kFull ? summary.full : summary.partial);
}

}  // namespace

TileMap::TileMap(const MaskExtents& extents, const TileShape& tile_shape) : extents_(extents), tile_shape_(tile_shape) {
  if (tile_shape.tile_q < 1 || tile_shape.tile_k < 1) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("tiles of {} rows and {} keys: at least 1 of each is needed",
                                                         tile_shape.tile_q, tile_shape.tile_k));
  }
  row_tiles_ = tiles_of(extents.seqlen_q, tile_shape.tile_q);
  key_tiles_ = tiles_of(extents.seqlen_k, tile_shape.tile_k);
  const std::int64_t slices = std::int64_t{extents.batch} * extents.num_heads;
  const std::int64_t per_slice = std::int64_t{row_tiles_} * key_tiles_;
  if (per_slice > kMaxTiles / slices) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("tiles of {} rows and {} keys cut [batch, num_heads, seqlen_q, seqlen_k] = [{}, {}, {}, "
                            "{}] into {} x {} x {} tiles: at most {} are handled",
                            tile_shape.tile_q, tile_shape.tile_k, extents.batch, extents.num_heads, extents.seqlen_q,
                            extents.seqlen_k, slices, row_tiles_, key_tiles_, kMaxTiles),
                "use larger tiles, or one batch entry and mask head at a time");
  }
  classes_.resize(static_cast<std::size_t>(slices * per_slice));
  row_summaries_.resize(static_cast<std::size_t>(slices * row_tiles_));
  key_summaries_.resize(static_cast<std::size_t>(slices * key_tiles_));
}

std::size_t TileMap::slice(int batch, int head) const {
  check_tile("batch", batch, extents_.batch);
  check_tile("mask head", head, extents_.num_heads);
  return static_cast<std::size_t>(batch) * static_cast<std::size_t>(extents_.num_heads) +
         static_cast<std::size_t>(head);
}

TileClass TileMap::at(int batch, int head, int row_tile, int key_tile) const {
  check_tile("row tile", row_tile, row_tiles_);
  check_tile("key tile", key_tile, key_tiles_);
  return classes(batch, head)[static_cast<std::size_t>(row_tile) * key_tiles_ + key_tile];
}

std::span<const TileClass> TileMap::classes(int batch, int head) const {
  const std::size_t tiles = static_cast<std::size_t>(row_tiles_) * key_tiles_;
  return std::span(classes_).subspan(slice(batch, head) * tiles, tiles);
}

std::span<const TileSummary> TileMap::row_summaries(int batch, int head) const {
  const std::size_t tiles = static_cast<std::size_t>(row_tiles_);
  return std::span(row_summaries_).subspan(slice(batch, head) * tiles, tiles);
}

std::span<const TileSummary> TileMap::key_summaries(int batch, int head) const {
  const std::size_t tiles = static_cast<std::size_t>(key_tiles_);
  return std::span(key_summaries_).subspan(slice(batch, head) * tiles, tiles);
}

const TileSummary& TileMap::row_summary(int batch, int head, int row_tile) const {
  check_tile("row tile", row_tile, row_tiles_);
  return row_summaries(batch, head)[row_tile];
}

const TileSummary& TileMap::key_summary(int batch, int head, int key_tile) const {
  check_tile("key tile", key_tile, key_tiles_);
  return key_summaries(batch, head)[key_tile];
}

double TileMap::density() const {
  const double rows = static_cast<double>(extents_.batch) * extents_.num_heads * extents_.seqlen_q;
  return static_cast<double>(visible_pairs_) / (rows * extents_.seqlen_k);
}

void TileMap::classify_slice(const Mask& mask, int batch, int head) {
  TileClass* classes = classes_.data() + slice(batch, head) * static_cast<std::size_t>(row_tiles_) * key_tiles_;
  // Differences over the row tiles, of the columns that mask a row of a tile, and of those that mask all its rows. A
  // column may count twice among the former, of which only zero matters, and never among the latter: its intervals do
  // not touch, so that one alone covers a tile.
  std::vector<int> touched(static_cast<std::size_t>(row_tiles_) + 1);
  std::vector<int> covered(static_cast<std::size_t>(row_tiles_) + 1);
  for (int key_tile = 0; key_tile < key_tiles_; ++key_tile) {
    const int first_key = key_tile * tile_shape_.tile_k;
    const int keys = std::min(tile_shape_.tile_k, extents_.seqlen_k - first_key);
    std::fill(touched.begin(), touched.end(), 0);
    std::fill(covered.begin(), covered.end(), 0);
    for (int j = first_key; j < first_key + keys; ++j) {
      std::int64_t visible = extents_.seqlen_q;
      for (const RowInterval& rows : mask.masked_rows(batch, head, j)) {
        visible -= rows.end - rows.first;
        ++touched[rows.first / tile_shape_.tile_q];
        --touched[tiles_of(rows.end, tile_shape_.tile_q)];
        // The last tile may be cut off: the end of the sequence is its end.
        const int covered_first = tiles_of(rows.first, tile_shape_.tile_q);
        const int covered_end = rows.end == extents_.seqlen_q ? row_tiles_ : rows.end / tile_shape_.tile_q;
        if (covered_first >= covered_end) continue;
        ++covered[covered_first];
        --covered[covered_end];
      }
      visible_pairs_ += visible;
    }
    int touching = 0;
    int covering = 0;
    for (int row_tile = 0; row_tile < row_tiles_; ++row_tile) {
      touching += touched[row_tile];
      covering += covered[row_tile];
      TileClass tile_class = TileClass::kPartial;
      if (covering == keys) tile_class = TileClass::kEmpty;
      if (touching == 0) tile_class = TileClass::kFull;
      classes[static_cast<std::size_t>(row_tile) * key_tiles_ + key_tile] = tile_class;
    }
  }
}

void TileMap::summarise_slice(std::size_t slice) {
  const TileClass* classes = classes_.data() + slice * static_cast<std::size_t>(row_tiles_) * key_tiles_;
  TileSummary* rows = row_summaries_.data() + slice * row_tiles_;
  TileSummary* keys = key_summaries_.data() + slice * key_tiles_;
  for (int row_tile = 0; row_tile < row_tiles_; ++row_tile) {
    for (int key_tile = 0; key_tile < key_tiles_; ++key_tile) {
      const TileClass tile_class = classes[static_cast<std::size_t>(row_tile) * key_tiles_ + key_tile];
      extend(rows[row_tile], tile_class, key_tile);
      extend(keys[key_tile], tile_class, row_tile);
    }
    full_tiles_ += rows[row_tile].full;
    partial_tiles_ += rows[row_tile].partial;
  }
}

TileMap classify_tiles(const Mask& mask, const TileShape& tile_shape) {
  TileMap map(mask.extents(), tile_shape);
  for (int batch = 0; batch < map.extents_.batch; ++batch) {
    for (int head = 0; head < map.extents_.num_heads; ++head) {
      map.classify_slice(mask, batch, head);
      map.summarise_slice(map.slice(batch, head));
    }
  }
  return map;
}

}  // namespace flashmask
