#include "tools/draw/glyphs.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace flashmask::draw {
namespace {

constexpr int kCellWidth = 2;
constexpr int kFrameWidth = 2;
constexpr int kBarWidth = 8;
constexpr int kSpaceBeforeBar = 1;

constexpr std::string_view glyph(TileClass tile) {
  switch (tile) {
    case TileClass::kFull:
      return "██";
    case TileClass::kPartial:
      return "░░";
    case TileClass::kEmpty:
      break;
  }
  return "  ";
}

/// In eighths of a character, rounded up so that some work is never no bar.
std::string bar(std::int64_t load, std::int64_t longest) {
  static constexpr std::array<std::string_view, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (load == 0) return "";
  const std::int64_t eighths = (load * kBarWidth * 8 + longest - 1) / longest;
  std::string text = " ";
  for (std::int64_t whole = 0; whole < eighths / 8; ++whole) text += "█";
  return text.append(kEighths[static_cast<std::size_t>(eighths % 8)]);
}

std::string frame_line(std::string_view left, int columns, std::string_view right) {
  std::string line(left);
  for (int character = 0; character < columns * kCellWidth; ++character) line += "─";
  return line.append(right).append("\n");
}

}  // namespace

int cells_in_width(int characters) {
  return std::max(1, (characters - kFrameWidth - kSpaceBeforeBar - kBarWidth) / kCellWidth);
}

std::string glyph_text(const TileGrid& grid) {
  const std::int64_t longest = *std::max_element(grid.loads.begin(), grid.loads.end());
  std::string text = frame_line("┌", grid.columns, "┐");
  for (int row = 0; row < grid.rows; ++row) {
    text += "│";
    for (int column = 0; column < grid.columns; ++column) text += glyph(grid.at(row, column));
    text.append("│").append(bar(grid.loads[static_cast<std::size_t>(row)], longest)).append("\n");
  }
  return text + frame_line("└", grid.columns, "┘");
}

}  // namespace flashmask::draw
