#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {
namespace {

// Lengths in pixels.
constexpr double kWidth = 580, kLeft = 44, kTop = 34, kHighestRow = 40, kLowestRow = 12, kRows = 360;
constexpr double kLegend = 40;
/// Narrower cells hold no number.
constexpr double kNumberWidth = 29, kNumberHeight = 18, kVariantHeight = 30;

/// All configurations with the same tiles.
struct Cell {
  const RankedTrial* best = nullptr;  ///< of those with a time
  bool has_winner = false;
  bool has_default = false;
  std::size_t timed = 0;
  std::map<std::string, std::size_t> failed;  ///< by outcome
  std::size_t pruned = 0;
  std::size_t untried = 0;
};

using Cells = std::map<std::pair<int, int>, Cell>;

Cells cells_of(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  Cells cells;
  const auto cell_of = [&](const TileConfig& config) -> Cell& { return cells[{config.tile_q, config.tile_k}]; };
  for (const RankedTrial& trial : ranked) {
    Cell& cell = cell_of(trial.trial.config);
    cell.has_winner |= trial.is_winner;
    cell.has_default |= trial.is_default;
    if (!trial.was_timed()) {
      ++cell.failed[std::string(to_string(trial.trial.outcome))];
    } else {
      if (!cell.best) cell.best = &trial;  // they come sorted
      ++cell.timed;
    }
  }
  for (const PrunedMember& member : problem.pruned) ++cell_of(member.config).pruned;
  for (const TileConfig& config : problem.untried) ++cell_of(config).untried;
  return cells;
}

const char* color_of(const Cell& cell, double band) {
  if (!cell.best) return !cell.failed.empty() ? "failed" : cell.untried > 0 ? "untried" : "pruned";
  const double gain = *cell.best->speedup - 1;
  if (gain > band) return gain > 4 * band ? "fast3" : gain > 2 * band ? "fast2" : "fast1";
  if (gain >= -band) return "even";
  return gain < -12 * band ? "slow3" : gain < -5 * band ? "slow2" : "slow1";
}

/// "w8 s2 overlap": the configuration without its tiles.
std::string variant_of(const TileConfig& config) {
  const std::string text = to_string(config);
  const std::size_t space = text.find(' ');
  return space == std::string::npos ? text : text.substr(space + 1);
}

/// The variant in a few letters, for a cell; the note below the picture tells them.
std::string letters_of(const TileConfig& config) {
  std::string letters;
  if (config.tile_q != 16 * config.warps) letters += fmt::format("w{}", config.warps);
  letters += fmt::format("s{}", config.stages);
  if (config.query_in_registers) letters += "r";
  if (config.column_warps != 1) letters += fmt::format("c{}", config.column_warps);
  if (config.overlap) letters += "o";
  if (config.turns) letters += "t";
  if (config.query_slots != 1) letters += fmt::format("q{}", config.query_slots);
  return letters;
}

std::string tip_of_cell(int tile_q, int tile_k, const Cell& cell) {
  std::string tip = fmt::format("{} x {}", tile_q, tile_k);
  if (cell.best)
    tip += fmt::format("\nbest {}: {}", variant_of(cell.best->trial.config), speedup_text(*cell.best->speedup));
  if (cell.has_winner) tip += "\nholds the winner";
  if (cell.has_default) tip += "\nholds the default";
  if (cell.timed > 0) tip += fmt::format("\n{} timed", cell.timed);
  for (const auto& [outcome, count] : cell.failed) tip += fmt::format("\n{} {}", count, outcome);
  if (cell.pruned > 0) tip += fmt::format("\n{} pruned", cell.pruned);
  if (cell.untried > 0) tip += fmt::format("\n{} not tried", cell.untried);
  return tip;
}

std::string legend(double y) {
  std::string body;
  double x = kLeft;
  const auto add = [&](const char* css_class, const char* text, double width) {
    body += rect(x, y, 11, 11, css_class, "", 2) + label(x + 16, y + 9.5, text, "faint");
    x += width;
  };
  add("fast3", "faster", 58);
  add("even", "within the band", 106);
  add("slow2", "slower", 60);
  add("failed", "failed", 56);
  add("pruned", "pruned", 62);
  add("untried", "not tried", 74);
  add("ring", "winner", 62);
  add("ring def", "default", 0);
  return body;
}

}  // namespace

std::optional<Plot> heat_map(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  if (ranked.empty()) return std::nullopt;
  const Cells cells = cells_of(problem, ranked);
  std::set<int> rows, columns;
  for (const auto& [tiles, cell] : cells) {
    rows.insert(tiles.first);
    columns.insert(tiles.second);
  }
  const double cell_width = std::min((kWidth - kLeft) / static_cast<double>(columns.size()), 96.0);
  const double cell_height = std::clamp(kRows / static_cast<double>(rows.size()), kLowestRow, kHighestRow);
  const auto column_x = [&](int tile_k) {
    return kLeft + cell_width * static_cast<double>(std::distance(columns.begin(), columns.find(tile_k)));
  };
  const auto row_y = [&](int tile_q) {
    return kTop + cell_height * static_cast<double>(std::distance(rows.begin(), rows.find(tile_q)));
  };
  const double bottom = kTop + cell_height * static_cast<double>(rows.size());

  Plot plot{kWidth, bottom + kLegend, "Tiles: the best speed-up over the default for each size", ""};
  plot.body += label(kLeft, 12, "keys (tile_k)", "faint") + label(0, 28, "queries", "faint");
  const auto stride = static_cast<std::size_t>(1 + 22 / cell_width);
  std::size_t number = 0;
  for (const int tile_k : columns)
    if (number++ % stride == 0)
      plot.body += label(column_x(tile_k) + cell_width / 2, 28, std::to_string(tile_k), "faint", "middle");
  for (const int tile_q : rows)
    plot.body += label(kLeft - 8, row_y(tile_q) + cell_height / 2 + 4, std::to_string(tile_q), "faint", "end");

  const double band = band_of(problem);
  std::string rings;
  for (const auto& [tiles, cell] : cells) {
    const double x = column_x(tiles.second), y = row_y(tiles.first);
    const double inner_width = cell_width - 2, inner_height = cell_height - 2;
    plot.body += rect(x + 1, y + 1, inner_width, inner_height, color_of(cell, band),
                      tip_of_cell(tiles.first, tiles.second, cell), 3);
    if (cell.best && cell_width >= kNumberWidth && cell_height >= kNumberHeight) {
      const bool has_room = cell_height >= kVariantHeight;
      const double middle = x + cell_width / 2;
      plot.body += label(middle, y + cell_height / 2 + (has_room ? -1 : 4), fmt::format("{:.2f}", *cell.best->speedup),
                         "cell-text strong", "middle");
      if (has_room)
        plot.body +=
            label(middle, y + cell_height / 2 + 12, letters_of(cell.best->trial.config), "cell-text small", "middle");
    } else if (!cell.best && !cell.failed.empty() && cell_width >= 16 && cell_height >= kNumberHeight) {
      plot.body += label(x + cell_width / 2, y + cell_height / 2 + 4, "×", "failed-text strong", "middle");
    }
    if (cell.has_default) rings += rect(x + 2, y + 2, cell_width - 4, cell_height - 4, "ring def", "", 3);
    if (cell.has_winner) rings += rect(x + 1, y + 1, cell_width - 2, cell_height - 2, "ring", "", 3);
  }
  plot.body += rings + legend(bottom + 18);
  return plot;
}

}  // namespace flashmask::tuning_report
