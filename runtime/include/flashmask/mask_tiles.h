#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/mask.h"
#include "flashmask/mask_shape.h"

namespace flashmask {

/// What the mask leaves of every tile, per batch entry and mask head, with the sums and orders that a schedule needs:
/// the definition that a plan made on the device is compared with. A value; all const members may be called from
/// several threads. Indices outside the map are refused with Error{kInvalidArgument}.
class FLASHMASK_API TileMap {
 public:
  /// Most tiles that one map holds, in all batch entries and mask heads: one byte each.
  static constexpr std::int64_t kMaxTiles = std::int64_t{1} << 30;

  const TileShape& tile_shape() const { return tile_shape_; }
  const MaskExtents& extents() const { return extents_; }
  /// ceil(seqlen_q / tile_q)
  int row_tiles() const { return row_tiles_; }
  /// ceil(seqlen_k / tile_k)
  int key_tiles() const { return key_tiles_; }

  TileClass at(int batch, int head, int row_tile, int key_tile) const;
  /// [row_tiles, key_tiles], row-major; of this map.
  std::span<const TileClass> classes(int batch, int head) const;

  /// The tiles of a row of tiles, over the key tiles.
  const TileSummary& row_summary(int batch, int head, int row_tile) const;
  /// The tiles of a column of tiles, over the row tiles.
  const TileSummary& key_summary(int batch, int head, int key_tile) const;
  /// All row tiles of a mask head, [row_tiles]; of this map.
  std::span<const TileSummary> row_summaries(int batch, int head) const;
  /// All key tiles of a mask head, [key_tiles]; of this map.
  std::span<const TileSummary> key_summaries(int batch, int head) const;

  /// Work of each row tile, tile_cost() of its summary, [row_tiles]: the picture of the load.
  std::vector<std::int64_t> row_load(int batch, int head) const;

  /// Row tiles, longest work first, and equal work in ascending order. "Equal" is coarse, as on the device, where 1024
  /// buckets are counted: bucket = 1023 - cost * 1023 / max_cost, max_cost that of this batch entry and mask head.
  std::vector<int> row_order(int batch, int head) const;
  /// The same for key tiles (a backward pass walks these).
  std::vector<int> key_order(int batch, int head) const;

  // Over all batch entries and mask heads.
  std::int64_t full_tiles() const { return full_tiles_; }
  std::int64_t partial_tiles() const { return partial_tiles_; }
  std::int64_t empty_tiles() const { return static_cast<std::int64_t>(classes_.size()) - full_tiles_ - partial_tiles_; }
  /// Pairs of a row and a key that it sees.
  std::int64_t visible_pairs() const { return visible_pairs_; }
  /// visible_pairs() over all pairs, 0 .. 1.
  double density() const;

 private:
  friend FLASHMASK_API TileMap classify_tiles(const Mask& mask, const TileShape& tile_shape);
  TileMap(const MaskExtents& extents, const TileShape& tile_shape);
  /// Number of the batch entry's mask head; checks both.
  std::size_t slice(int batch, int head) const;
  void classify_slice(const Mask& mask, int batch, int head);
  void summarise_slice(std::size_t slice);

  MaskExtents extents_;
  TileShape tile_shape_;
  int row_tiles_ = 0;
  int key_tiles_ = 0;
  std::vector<TileClass> classes_;          ///< [batch, num_heads, row_tiles, key_tiles]
  std::vector<TileSummary> row_summaries_;  ///< [batch, num_heads, row_tiles]
  std::vector<TileSummary> key_summaries_;  ///< [batch, num_heads, key_tiles]
  std::int64_t full_tiles_ = 0;
  std::int64_t partial_tiles_ = 0;
  std::int64_t visible_pairs_ = 0;
};

/// The class of every tile, exactly: a tile is empty if no row of it sees a key of it, full if every row sees every
/// key, else partial; tiles at the ends of the sequences count the elements that exist. Exact where published rules are
/// not: a tile that two intervals, or an interval and the diagonal, mask only together is empty. O(columns + tiles) per
/// batch entry and mask head. Refuses tile sizes below 1 and more than TileMap::kMaxTiles tiles.
FLASHMASK_API TileMap classify_tiles(const Mask& mask, const TileShape& tile_shape);

}  // namespace flashmask
