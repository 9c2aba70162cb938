#include <fmt/format.h>

#include <algorithm>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {
namespace {

// Lengths in pixels.
constexpr double kWidth = 1120, kLabels = 330, kRight = 70, kRow = 34, kTop = 24;
/// More are in the table alone.
constexpr std::size_t kMostRows = 40;

}  // namespace

std::optional<Plot> winners_plot(const std::vector<const ReportProblem*>& problems) {
  std::vector<const ReportProblem*> decided;
  for (const ReportProblem* problem : problems)
    if (speedup_of(*problem)) decided.push_back(problem);
  if (decided.empty()) return std::nullopt;
  const std::size_t rows = std::min(decided.size(), kMostRows);

  double low = 1, high = 1;
  for (std::size_t i = 0; i < rows; ++i) {
    low = std::min({low, *speedup_of(*decided[i]), 1 - band_of(*decided[i])});
    high = std::max({high, *speedup_of(*decided[i]), 1 + band_of(*decided[i])});
  }
  const double margin = 0.06 * (high - low);
  const Scale x(low - margin, high + margin, kLabels, kWidth - kRight);
  const double bottom = kTop + kRow * static_cast<double>(rows);

  Plot plot{kWidth, bottom + 10, "Speed-up of the winners over the default", ""};
  for (const double value : ticks(x.low(), x.high(), 8)) {
    plot.body += line(x(value), kTop - 4, x(value), bottom, "grid");
    plot.body += label(x(value), kTop - 10, tick_text(value) + "×", "faint", "middle");
  }
  for (std::size_t i = 0; i < rows; ++i) {
    const ReportProblem& problem = *decided[i];
    const double speedup = *speedup_of(problem), band = band_of(problem);
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    const bool stays = problem.record->config == problem.record->default_config;
    const std::string tip = fmt::format("{}\n{}\n{} with {}\nband {}", to_string(problem.key.descriptor),
                                        to_string(problem.key.bucket), speedup_text(speedup),
                                        stays ? "the default" : to_string(problem.record->config), percent_text(band));
    plot.body += label(kLabels - 14, y - 2, to_string(problem.key.descriptor), "", "end");
    plot.body += label(kLabels - 14, y + 11, to_string(problem.key.bucket), "faint", "end");
    plot.body += rect(x(1 - band), y - kRow / 2 + 2, x(1 + band) - x(1 - band), kRow - 4, "band");
    if (!stays) {
      plot.body += rect(std::min(x(1), x(speedup)), y - 6, std::abs(x(speedup) - x(1)), 12, "bar win", tip, 2);
    } else {
      plot.body += circle(x(speedup), y, 5, "dot def", tip);
    }
    plot.body += label(std::max(x(speedup), x(1 + band)) + 8, y + 4,
                       stays ? std::string("default stays") : speedup_text(speedup), stays ? "faint" : "strong");
  }
  plot.body += line(x(1), kTop - 4, x(1), bottom, "one");
  if (decided.size() > rows) {
    plot.body += label(kLabels, bottom + 16, fmt::format("{} more are in the table", decided.size() - rows), "faint");
    plot.height += 14;
  }
  return plot;
}

}  // namespace flashmask::tuning_report
