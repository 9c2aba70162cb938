#include "tools/command/mask_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "tools/command/kernel_json.h"
#include "tools/command/mask_words.h"
#include "tools/draw/glyphs.h"

namespace flashmask::command {
namespace {

using nlohmann::ordered_json;

constexpr int kLargestTile = 128;
constexpr int kTilesOfShort = 16;  ///< of a short sequence: a picture of one tile says nothing
constexpr int kMaxLines = 128;     ///< of a picture
constexpr double kCostOfFullTile = 4;

double percent(double share) {
  return 100 * share;
}

std::string tiles_text(const TileCounts& counts) {
  return fmt::format("{} full, {} partial, {} empty", counts.full, counts.partial, counts.empty);
}

std::string pairs_text(const TileCounts& counts) {
  return fmt::format("{} of {} pairs of a row and a key ({:.1f} %)", counts.visible_pairs, counts.pairs,
                     percent(counts.density()));
}

std::string load_text(std::vector<std::int64_t> load) {
  std::ranges::sort(load);
  const auto tiles = [&](std::size_t n) { return static_cast<double>(load[n]) / kCostOfFullTile; };
  return fmt::format("of a row of tiles: least {}, median {}, most {} (a full tile 1, a partial one 1.25)", tiles(0),
                     tiles(load.size() / 2), tiles(load.size() - 1));
}

ordered_json json_of(const TileCounts& counts) {
  return {{"full", counts.full},
          {"partial", counts.partial},
          {"empty", counts.empty},
          {"work_saved", counts.work_saved()},
          {"visible_pairs", counts.visible_pairs},
          {"pairs", counts.pairs},
          {"density", counts.density()}};
}

/// One text per row of tiles, one character per tile.
std::vector<std::string> class_rows(const MaskReport& report) {
  std::vector<std::string> rows;
  for (int row = 0; row < report.map.row_tiles(); ++row) {
    std::string& text = rows.emplace_back();
    for (int key = 0; key < report.map.key_tiles(); ++key) {
      const TileClass tile = report.map.at(report.batch_entry, report.head, row, key);
      text += tile == TileClass::kFull ? 'f' : tile == TileClass::kPartial ? 'p' : '.';
    }
  }
  return rows;
}

}  // namespace

flashmask::TileShape default_tile(const MaskShape& shape) {
  const int longer = std::max(shape.seqlen_q, shape.seqlen_k);
  int side = kLargestTile;
  while (side > 1 && longer / side < kTilesOfShort) side /= 2;
  return {side, side};
}

TileCounts counts_of_head(const Mask& mask, const TileMap& map, int batch_entry, int head) {
  const MaskShape& shape = mask.shape();
  TileCounts counts;
  for (const TileSummary& row : map.row_summaries(batch_entry, head)) {
    counts.full += row.full;
    counts.partial += row.partial;
    counts.empty += map.key_tiles() - row.full - row.partial;
  }
  counts.visible_pairs = counts.pairs = std::int64_t{shape.seqlen_q} * shape.seqlen_k;
  for (int key = 0; key < shape.seqlen_k; ++key) {
    counts.visible_pairs -= mask.masked_rows(batch_entry, head, key).rows();
  }
  return counts;
}

TileCounts counts_of_all(const TileMap& map) {
  const MaskExtents& extents = map.extents();
  return {map.full_tiles(), map.partial_tiles(), map.empty_tiles(), map.visible_pairs(),
          std::int64_t{extents.batch} * extents.num_heads * extents.seqlen_q * extents.seqlen_k};
}

std::string to_text(const MaskReport& report, int width) {
  const TileMap& map = report.map;
  const TileCounts counts = counts_of_head(report.source.mask, map, report.batch_entry, report.head);
  const draw::TileGrid grid =
      draw::make_tile_grid(map, report.batch_entry, report.head, kMaxLines, draw::cells_in_width(width));
  const MaskExtents& extents = map.extents();

  std::string text = fmt::format("mask      {}\n", title_text(report.source));
  text += fmt::format("held as   {}\n", shape_text(report.source.mask.shape()));
  if (std::int64_t{extents.batch} * extents.num_heads > 1) {
    const TileCounts all = counts_of_all(map);
    text +=
        fmt::format("all       {}; {}; {:.1f} % saved\n", tiles_text(all), pairs_text(all), percent(all.work_saved()));
    text += fmt::format("drawn     batch entry {}, mask head {}\n", report.batch_entry, report.head);
  }
  text += fmt::format("tiles     {} x {} of {} x {}: {}\n", map.row_tiles(), map.key_tiles(), map.tile_shape().tile_q,
                      map.tile_shape().tile_k, tiles_text(counts));
  text += fmt::format("visible   {}\n", pairs_text(counts));
  text += fmt::format("saved     {:.1f} % of the work: empty tiles are skipped\n", percent(counts.work_saved()));
  text += fmt::format("load      {}\n", load_text(map.row_load(report.batch_entry, report.head)));
  if (!report.picture.empty()) text += fmt::format("picture   {}\n", report.picture);
  if (grid.tiles_per_cell > 1) {
    text += fmt::format("scale     {0} x {0} tiles per sign: all would need more than {1} characters or {2} lines\n",
                        grid.tiles_per_cell, width, kMaxLines);
  }
  return text + "\n" + draw::glyph_text(grid) + "██ full, ░░ partial, blank empty; bars: load\n";
}

std::string to_json(const MaskReport& report) {
  const TileMap& map = report.map;
  ordered_json json = {{"schema", kSchema}, {"command", "mask show"}, {"version", version()}};
  json["mask"] = command::json_of(report.source);
  json["tile"] = {{"tile_q", map.tile_shape().tile_q}, {"tile_k", map.tile_shape().tile_k}};
  json["all"] = json_of(counts_of_all(map));
  json["drawn"] = {{"batch_entry", report.batch_entry},
                   {"head", report.head},
                   {"row_tiles", map.row_tiles()},
                   {"key_tiles", map.key_tiles()}};
  json["drawn"].update(json_of(counts_of_head(report.source.mask, map, report.batch_entry, report.head)));
  json["drawn"]["row_load"] = map.row_load(report.batch_entry, report.head);
  json["drawn"]["classes"] = class_rows(report);
  if (!report.picture.empty()) json["picture"] = report.picture;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace flashmask::command
