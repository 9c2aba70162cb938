#include <fmt/format.h>

#include <algorithm>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {
namespace {

// Lengths in pixels.
constexpr double kWidth = 580, kLabels = 212, kRight = 14, kRow = 26, kTop = 26;
constexpr std::size_t kMostRows = 24;

/// One configuration's rounds.
struct Row {
  const RankedTrial* trial;
  std::vector<double> values;
};

/// The default's speed-up over itself is always 1; its row shows how far its own times spread.
std::vector<double> spread_of(const ReportProblem& problem, const RankedTrial& trial) {
  std::vector<double> values;
  for (const TuningRound& round : problem.rounds)
    for (const auto& [config, seconds] : round.seconds)
      if (config == trial.trial.config && is_time(seconds)) values.push_back(trial.fine_seconds / seconds);
  return values;
}

/// Where the n-th dot of a row lies off its middle, so that equal ones can be told apart.
double offset_of(std::size_t n) {
  constexpr double kSteps[] = {0, -4, 4, -2, 2, -6, 6};
  return kSteps[n % std::size(kSteps)];
}

std::string row_body(const Row& row, const Scale& x, double y) {
  const std::string mark = mark_of(*row.trial);
  const double q1 = x(quantile(row.values, 0.25)), q3 = x(quantile(row.values, 0.75)),
               median = x(quantile(row.values, 0.5));
  std::string body = rect(q1, y - 9, std::max(q3 - q1, 1.0), 18, "box" + mark, tip_of(*row.trial), 2);
  for (std::size_t n = 0; n < row.values.size(); ++n)
    body +=
        circle(x(row.values[n]), y + offset_of(n), 2.2, "dot" + mark,
               fmt::format("{}\nround {}: {}", to_string(row.trial->trial.config), n + 1, speedup_text(row.values[n])));
  body += line(median, y - 9, median, y + 9, "median");
  return body + label(kLabels - 10, y + 4, to_string(row.trial->trial.config),
                      row.trial->is_winner ? "mono strong" : "mono", "end");
}

}  // namespace

std::optional<Plot> rounds_plot(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  std::vector<Row> rows;
  for (const RankedTrial& trial : ranked) {
    if (!trial.was_timed() || trial.round_speedups.empty()) continue;
    if (rows.size() >= kMostRows && !trial.is_default && !trial.is_winner) continue;
    rows.push_back({&trial, trial.is_default ? spread_of(problem, trial) : trial.round_speedups});
  }
  if (rows.empty()) return std::nullopt;

  const double band = band_of(problem);
  // One far-off round must not press all others together: it is drawn at the edge.
  double low = 1 - band, high = 1 + band;
  for (const Row& row : rows) {
    const double q1 = quantile(row.values, 0.25), q3 = quantile(row.values, 0.75), reach = 2.5 * (q3 - q1);
    low = std::min(low, std::max(quantile(row.values, 0), q1 - reach));
    high = std::max(high, std::min(quantile(row.values, 1), q3 + reach));
  }
  const double margin = 0.04 * (high - low);
  const Scale x(low - margin, high + margin, kLabels, kWidth - kRight);
  const double bottom = kTop + kRow * static_cast<double>(rows.size());

  Plot plot{kWidth, bottom + 24, "Rounds: speed-up over the default, and the noise band", ""};
  plot.body += rect(x(1 - band), kTop - 6, x(1 + band) - x(1 - band), bottom - kTop + 6, "band",
                    fmt::format("noise band: 1 ± {}", percent_text(band)));
  for (const double value : ticks(x.low(), x.high(), 6)) {
    plot.body += line(x(value), kTop - 6, x(value), bottom, "grid");
    plot.body += label(x(value), kTop - 12, tick_text(value) + "×", "faint", "middle");
  }
  plot.body += line(x(1), kTop - 6, x(1), bottom, "one");
  for (std::size_t i = 0; i < rows.size(); ++i)
    plot.body += row_body(rows[i], x, kTop + kRow * (static_cast<double>(i) + 0.5));
  plot.body += label(
      kWidth - kRight, bottom + 16,
      fmt::format("a dot for each round; the default's: its time against its own median; band {}", percent_text(band)),
      "faint small", "end");
  return plot;
}

}  // namespace flashmask::tuning_report
