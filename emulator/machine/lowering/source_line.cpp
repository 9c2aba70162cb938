#include "emulator/machine/lowering/source_line.h"

#include <algorithm>

#include <fmt/format.h>

namespace flashmask::emulator {
namespace {

constexpr std::size_t kMostShown = 120;
/// Of a long line, what is shown before the column.
constexpr std::size_t kShownBefore = 60;

char printable(char c) {
  if (c == '\t' || c == '\r') return ' ';
  return c >= ' ' && c <= '~' ? c : '?';
}

}  // namespace

std::string point_at(std::string_view line, ptx::Position position) {
  const std::size_t at = std::min<std::size_t>(position.column - 1, line.size());
  const std::size_t indent = std::min(at, line.find_first_not_of(" \t"));
  const std::size_t start = at - indent > kMostShown ? at - kShownBefore : indent;
  std::string shown(line.substr(start, kMostShown + kShownBefore));
  std::transform(shown.begin(), shown.end(), shown.begin(), printable);
  shown.erase(shown.find_last_not_of(' ') + 1);
  if (shown.empty()) shown = "(the end of the text)";
  const std::string head = fmt::format("  line {}, column {}: ", position.line, position.column);
  return fmt::format("{}{}\n{:{}}^", head, shown, "", head.size() + at - start);
}

}  // namespace flashmask::emulator
