#pragma once

#include <cstdint>

#include "flashmask/kernel_descriptor.h"

namespace flashmask {

/// A mask without its values: what its vectors, its plan and its launches must agree on.
struct MaskShape {
  MaskForm form = MaskForm::kNone;
  CausalAlignment causal_alignment = CausalAlignment::kBottomRight;
  int batch = 1;
  int num_heads = 1;  ///< of the mask: 1, or as many as there are key heads or query heads
  int seqlen_q = 0;
  int seqlen_k = 0;
  int window_left = -1;  ///< kWindow only; -1: unbounded
  int window_right = -1;

  friend bool operator==(const MaskShape&, const MaskShape&) = default;
};

/// Query rows and key columns of a tile. Tiles at the end of a sequence are cut off there.
struct TileShape {
  int tile_q = 0;
  int tile_k = 0;

  friend bool operator==(const TileShape&, const TileShape&) = default;
};

/// What the mask leaves of a tile, exactly: no element visible, some, or all.
enum class TileClass : std::uint8_t { kEmpty, kPartial, kFull };

/// The visible tiles of one row of tiles (over the key tiles) or of one column of tiles (over the row tiles).
struct TileSummary {
  int first = 0;    ///< first tile that is not empty; 0 if there is none
  int last = -1;    ///< last tile that is not empty; -1 if there is none
  int partial = 0;  ///< number of partial tiles
  int full = 0;     ///< number of full tiles

  friend bool operator==(const TileSummary&, const TileSummary&) = default;
};

/// Work of a row or column of tiles, in quarters of a full tile: a partial tile also evaluates the mask.
constexpr std::int64_t tile_cost(const TileSummary& summary) {
  return std::int64_t{4} * summary.full + std::int64_t{5} * summary.partial;
}

}  // namespace flashmask
