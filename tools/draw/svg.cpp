#include "tools/draw/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "tools/draw/bounds.h"
#include "tools/draw/tile_grid.h"
#include "tools/draw/xml.h"

namespace flashmask::draw {
namespace {

// Lengths in pixels.
constexpr int kPlotSide = 384;  ///< of the longer side, at most
constexpr int kShortestSide = 48;
constexpr int kMargin = 12;
constexpr int kPlotTop = 52;  ///< below two lines of text
constexpr int kLegendLine = 20;
constexpr int kLegendWidth = 360;  ///< of the widest line
constexpr int kCellWithGrid = 6;   ///< smaller cells have no lines between them
constexpr int kMaxCells = 192;     ///< along a side

constexpr std::string_view kFullColor = "#2563eb";
constexpr std::string_view kPartialColor = "#93c5fd";
constexpr std::string_view kEmptyColor = "#f3f4f6";

constexpr std::string_view bound_color(std::string_view name) {
  if (name == "LTS") return "#dc2626";
  if (name == "LTE") return "#d97706";
  if (name == "UTS") return "#059669";
  if (name == "UTE") return "#9333ea";
  return "#111827";  // diagonal, window
}

/// A diagonal and a window follow from the lengths; the bounds of the vectors are drawn through.
constexpr std::string_view dashes(std::string_view name) {
  return name == "diagonal" || name.starts_with("window") ? " stroke-dasharray=\"4 3\"" : "";
}

/// Rows and keys to pixels.
class Plot {
 public:
  Plot(const MaskExtents& extents, const TileShape& tile) : extents_(extents), tile_(tile) {
    const int longer = std::max(extents.seqlen_q, extents.seqlen_k);
    // Whole pixels per token where that is possible: lines are sharp, and the text is short.
    const double exact = static_cast<double>(kPlotSide) / longer, scale = exact < 1 ? exact : std::floor(exact);
    scale_x_ = std::max(scale, static_cast<double>(kShortestSide) / extents.seqlen_k);
    scale_y_ = std::max(scale, static_cast<double>(kShortestSide) / extents.seqlen_q);
  }

  double width() const { return x(extents_.seqlen_k); }
  double height() const { return y(extents_.seqlen_q); }
  double x(double key) const { return rounded(key * scale_x_); }
  double y(double row) const { return rounded(row * scale_y_); }
  /// The left edge of a cell, and the top one; that behind the last is the end of the sequence.
  double cell_x(const TileGrid& grid, int column) const {
    return x(static_cast<double>(
        std::min(std::int64_t{column} * grid.tiles_per_cell * tile_.tile_k, std::int64_t{extents_.seqlen_k})));
  }
  double cell_y(const TileGrid& grid, int row) const {
    return y(static_cast<double>(
        std::min(std::int64_t{row} * grid.tiles_per_cell * tile_.tile_q, std::int64_t{extents_.seqlen_q})));
  }

 private:
  /// To hundredths, so that texts are equal on all machines.
  static double rounded(double pixels) { return std::round(pixels * 100) / 100; }

  MaskExtents extents_;
  TileShape tile_;
  double scale_x_ = 1;
  double scale_y_ = 1;
};

/// All cells of a class, as rectangles that are as wide as they can be.
std::string cells_path(const TileGrid& grid, const Plot& plot, TileClass wanted, std::string_view color) {
  std::string data;
  for (int row = 0; row < grid.rows; ++row) {
    const double top = plot.cell_y(grid, row), height = plot.cell_y(grid, row + 1) - top;
    for (int column = 0; column < grid.columns; ++column) {
      if (grid.at(row, column) != wanted) continue;
      const int first = column;
      while (column + 1 < grid.columns && grid.at(row, column + 1) == wanted) ++column;
      const double left = plot.cell_x(grid, first), width = plot.cell_x(grid, column + 1) - left;
      data += fmt::format("M{} {}h{}v{}h-{}z", xml_number(left), xml_number(top), xml_number(width), xml_number(height),
                          xml_number(width));
    }
  }
  return data.empty() ? "" : fmt::format("<path fill=\"{}\" d=\"{}\"/>\n", color, data);
}

std::string grid_lines(const TileGrid& grid, const Plot& plot) {
  if (plot.cell_x(grid, 1) < kCellWithGrid || plot.cell_y(grid, 1) < kCellWithGrid) return "";
  std::string data;
  for (int column = 1; column < grid.columns; ++column) {
    data += fmt::format("M{} 0v{}", xml_number(plot.cell_x(grid, column)), xml_number(plot.height()));
  }
  for (int row = 1; row < grid.rows; ++row) {
    data += fmt::format("M0 {}h{}", xml_number(plot.cell_y(grid, row)), xml_number(plot.width()));
  }
  return data.empty() ? "" : fmt::format("<path stroke=\"#ffffff\" stroke-width=\"1\" d=\"{}\"/>\n", data);
}

std::string bound_path(const Bound& bound, const Plot& plot) {
  std::string data;
  int drawn_to = -1;
  for (const BoundStep& step : bound.steps) {
    const std::string row = xml_number(plot.y(step.row));
    data += step.first_key == drawn_to ? "V" + row : fmt::format("M{} {}", xml_number(plot.x(step.first_key)), row);
    data += "H" + xml_number(plot.x(step.end_key));
    drawn_to = step.end_key;
  }
  if (data.empty()) return "";
  return fmt::format("<path fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{} d=\"{}\"/>\n", bound_color(bound.name),
                     dashes(bound.name), data);
}

/// Texts in a row, each behind its sign.
class LegendLine {
 public:
  explicit LegendLine(double y) : y_(y) {}

  void add_tile(std::string_view color, const std::string& text) {
    svg_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{}\" stroke=\"#d1d5db\"/>\n", x_,
                        xml_number(y_ - 9), color);
    add_text(text, 15);
  }
  void add_bound(std::string_view name) {
    svg_ += fmt::format("<path fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{} d=\"M{} {}h18\"/>\n", bound_color(name),
                        dashes(name), x_, xml_number(y_ - 4));
    add_text(std::string(name), 23);
  }
  const std::string& svg() const { return svg_; }

 private:
  void add_text(const std::string& text, int sign_width) {
    constexpr int kCharacterWidth = 7;  // about: the font is the viewer's
    constexpr int kGap = 12;
    svg_ += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#374151\">{}</text>\n", x_ + sign_width, xml_number(y_), text);
    x_ += sign_width + static_cast<int>(text.size()) * kCharacterWidth + kGap;
  }

  std::string svg_;
  int x_ = kMargin;
  double y_;
};

struct ClassCounts {
  std::int64_t full = 0;
  std::int64_t partial = 0;
  std::int64_t empty = 0;
};

ClassCounts count_classes(const TileMap& map, int batch, int head) {
  ClassCounts counts;
  for (const TileSummary& row : map.row_summaries(batch, head)) {
    counts.full += row.full;
    counts.partial += row.partial;
    counts.empty += map.key_tiles() - row.full - row.partial;
  }
  return counts;
}

}  // namespace

std::string mask_svg(const Mask& mask, const TileMap& map, int batch, int head, const std::string& title) {
  const TileGrid grid = make_tile_grid(map, batch, head, kMaxCells, kMaxCells);
  const Plot plot(mask.extents(), map.tile_shape());
  const std::vector<Bound> bounds = mask_bounds(mask, batch, head, kPlotSide);
  const ClassCounts counts = count_classes(map, batch, head);

  const double legend_top = kPlotTop + plot.height() + kLegendLine;
  LegendLine tiles(legend_top), lines(legend_top + kLegendLine);
  tiles.add_tile(kFullColor, fmt::format("{} full", counts.full));
  tiles.add_tile(kPartialColor, fmt::format("{} partial", counts.partial));
  tiles.add_tile(kEmptyColor, fmt::format("{} empty", counts.empty));
  for (const Bound& bound : bounds) lines.add_bound(bound.name);

  const std::string width = xml_number(std::max<double>(plot.width(), kLegendWidth) + 2 * kMargin);
  const std::string height = xml_number(legend_top + kLegendLine + kMargin);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n",
      width, height);
  svg += fmt::format("<title>{}</title>\n", xml_escaped(title));
  svg += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n", width, height);
  svg += fmt::format("<text x=\"{}\" y=\"22\" font-weight=\"bold\" fill=\"#111827\">{}</text>\n", kMargin,
                     xml_escaped(title));
  svg += fmt::format(
      "<text x=\"{}\" y=\"40\" fill=\"#6b7280\">{} queries down, {} keys across, tiles of {} x {}{}</text>\n", kMargin,
      mask.shape().seqlen_q, mask.shape().seqlen_k, map.tile_shape().tile_q, map.tile_shape().tile_k,
      grid.tiles_per_cell == 1 ? "" : fmt::format(", {0} x {0} of them in a cell", grid.tiles_per_cell));
  svg += fmt::format("<g transform=\"translate({} {})\">\n", kMargin, kPlotTop);
  svg += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"{}\"/>\n", xml_number(plot.width()),
                     xml_number(plot.height()), kEmptyColor);
  svg += cells_path(grid, plot, TileClass::kFull, kFullColor);
  svg += cells_path(grid, plot, TileClass::kPartial, kPartialColor);
  svg += grid_lines(grid, plot);
  for (const Bound& bound : bounds) svg += bound_path(bound, plot);
  return svg + "</g>\n" + tiles.svg() + lines.svg() + "</svg>\n";
}

}  // namespace flashmask::draw
