#include <fmt/format.h>

#include <algorithm>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {
namespace {

// Lengths in pixels.
constexpr double kWidth = 580, kLeft = 44, kTop = 16, kRegisters = 150, kGap = 26, kSpills = 70, kWidestBar = 22;
/// What a thread can have on every architecture.
constexpr int kMostRegisters = 255;

double spilled_by(const RankedTrial& trial) {
  return static_cast<double>(trial.trial.resources.spill_store_bytes) + trial.trial.resources.spill_load_bytes;
}

}  // namespace

std::optional<Plot> registers_plot(const std::vector<RankedTrial>& ranked) {
  std::vector<const RankedTrial*> shown;  // what was never compiled has none
  for (const RankedTrial& trial : ranked)
    if (trial.trial.resources.registers > 0) shown.push_back(&trial);
  if (shown.empty()) return std::nullopt;

  double most_spilled = 0;
  for (const RankedTrial* trial : shown) most_spilled = std::max(most_spilled, spilled_by(*trial));
  const double step = std::min((kWidth - kLeft) / static_cast<double>(shown.size()), kWidestBar);
  const double width = step > 4 ? step - 2 : step * 0.8;
  const double floor = kTop + kRegisters, spill_top = floor + kGap;
  const Scale y(0, 270, floor, kTop);
  const Scale depth(0, most_spilled, 0, kSpills - 14);

  const double right = kLeft + step * static_cast<double>(shown.size());
  Plot plot{kWidth, (most_spilled > 0 ? spill_top + kSpills : floor) + 20, "Registers and spills, the fastest first",
            ""};
  for (const int value : {64, 128, 192}) {
    plot.body += line(kLeft, y(value), right, y(value), "grid");
    plot.body += label(kLeft - 8, y(value) + 4, std::to_string(value), "faint", "end");
  }
  plot.body += line(kLeft, y(kMostRegisters), right, y(kMostRegisters), "limit");
  plot.body += label(kLeft - 8, y(kMostRegisters) + 4, std::to_string(kMostRegisters), "faint", "end");
  plot.body += label(kLeft, kTop - 6, "registers of a thread", "faint");
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const RankedTrial& trial = *shown[i];
    const double x = kLeft + step * static_cast<double>(i), top = y(trial.trial.resources.registers);
    plot.body += rect(x, top, width, floor - top, std::string("bar") + mark_of(trial), tip_of(trial), 1);
    if (const double spilled = spilled_by(trial); spilled > 0)
      plot.body += rect(x, spill_top, width, std::max(depth(spilled), 2.0), "bar bad", tip_of(trial), 1);
  }
  plot.body += line(kLeft, floor, right, floor, "axis");
  if (most_spilled > 0) {
    plot.body += line(kLeft, spill_top, right, spill_top, "axis");
    plot.body += label(kLeft, spill_top - 8, fmt::format("spilled, up to {}", bytes_text(most_spilled)), "faint");
  } else {
    plot.body += label(kLeft, floor + 15, "nothing is spilled", "faint");
  }
  plot.body +=
      label(kWidth, plot.height - 4, "green: winner, purple: default, blue: in the rounds, grey: slow, red: failed",
            "faint small", "end");
  return plot;
}

}  // namespace flashmask::tuning_report
