#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/mask_tiles.h"
#include "tools/command/mask_source.h"

namespace flashmask::command {

/// Tiles by class, and pairs of a row and a key.
struct TileCounts {
  std::int64_t full = 0;
  std::int64_t partial = 0;
  std::int64_t empty = 0;
  std::int64_t visible_pairs = 0;
  std::int64_t pairs = 0;

  std::int64_t tiles() const { return full + partial + empty; }
  /// Share of the tiles that are empty, and so are skipped.
  double work_saved() const { return static_cast<double>(empty) / static_cast<double>(tiles()); }
  double density() const { return static_cast<double>(visible_pairs) / static_cast<double>(pairs); }
};

/// Tiles of 128 by 128, or the largest power of two below of which the longer side has 16.
flashmask::TileShape default_tile(const MaskShape& shape);

TileCounts counts_of_head(const Mask& mask, const TileMap& map, int batch_entry, int head);
TileCounts counts_of_all(const TileMap& map);

/// Everything that `mask show` tells of one mask, but for its picture.
struct MaskReport {
  const NamedMask& source;
  const TileMap& map;
  int batch_entry = 0;
  int head = 0;
  std::string picture;  ///< the SVG file; empty if there is none
};

/// A table for a person, the picture below it, at most so many characters wide.
std::string to_text(const MaskReport& report, int width);
/// One JSON object, "schema": 1.
std::string to_json(const MaskReport& report);

}  // namespace flashmask::command
