#include "tools/tuning_report/ranking.h"

#include <algorithm>
#include <cmath>

#include "tools/tuning_report/figures.h"

namespace flashmask::tuning_report {
namespace {

constexpr double kUsualBand = 0.02;

std::optional<double> seconds_in(const TuningRound& round, const TileConfig& config) {
  for (const auto& [timed, seconds] : round.seconds)
    if (timed == config && is_time(seconds)) return seconds;
  return std::nullopt;
}

double coarse_default(const ReportProblem& problem, const std::optional<TileConfig>& chosen) {
  for (const TuningTrial& trial : problem.trials)
    if (trial.config == chosen && is_time(trial.coarse_seconds)) return trial.coarse_seconds;
  return 0;
}

void add_rounds(RankedTrial& ranked, const ReportProblem& problem, const std::optional<TileConfig>& chosen) {
  std::vector<double> seconds;
  for (const TuningRound& round : problem.rounds) {
    const auto time = seconds_in(round, ranked.trial.config);
    if (!time) continue;
    seconds.push_back(*time);
    if (const auto of_default = chosen ? seconds_in(round, *chosen) : std::nullopt)
      ranked.round_speedups.push_back(*of_default / *time);
  }
  ranked.fine_seconds = quantile(seconds, 0.5);
}

}  // namespace

std::optional<TileConfig> default_of(const ReportProblem& problem) {
  return problem.record ? problem.record->default_config : problem.default_config;
}

std::vector<RankedTrial> rank_trials(const ReportProblem& problem) {
  const std::optional<TileConfig> chosen = default_of(problem);
  const double of_default = coarse_default(problem, chosen);
  std::vector<RankedTrial> ranked;
  for (const TuningTrial& trial : problem.trials) {
    RankedTrial& entry = ranked.emplace_back();
    entry.trial = trial;
    entry.is_default = trial.config == chosen;
    entry.is_winner = problem.record && trial.config == problem.record->config;
    add_rounds(entry, problem, chosen);
    // One that failed later on has times, and no claim to a place.
    if (trial.outcome != TrialOutcome::kTimed && trial.outcome != TrialOutcome::kSlow) continue;
    if (!entry.round_speedups.empty())
      entry.speedup = quantile(entry.round_speedups, 0.5);
    else if (is_time(trial.coarse_seconds) && of_default > 0)
      entry.speedup = of_default / trial.coarse_seconds;
  }
  std::ranges::stable_sort(ranked, [](const RankedTrial& a, const RankedTrial& b) {
    if (a.was_timed() != b.was_timed()) return a.was_timed();
    return a.was_timed() ? *a.speedup > *b.speedup : a.trial.outcome < b.trial.outcome;
  });
  return ranked;
}

std::optional<double> speedup_of(const TuningRecord& record) {
  if (!is_time(record.seconds) || !is_time(record.default_seconds)) return std::nullopt;
  return record.default_seconds / record.seconds;
}

std::optional<double> speedup_of(const ReportProblem& problem) {
  return problem.record ? speedup_of(*problem.record) : std::nullopt;
}

double band_of(const ReportProblem& problem) {
  return problem.record && is_time(problem.record->band) ? problem.record->band : kUsualBand;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

}  // namespace flashmask::tuning_report
