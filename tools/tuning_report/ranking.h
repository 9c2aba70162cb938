#pragma once

#include <optional>
#include <vector>

#include "tools/tuning_report/report.h"

namespace flashmask::tuning_report {

/// A trial among the others of its problem.
struct RankedTrial {
  TuningTrial trial;
  double fine_seconds = 0;             ///< median of its rounds; 0: it has none
  std::vector<double> round_speedups;  ///< over the default in the same round
  std::optional<double> speedup;       ///< over the default: median of the rounds, else by the coarse times
  bool is_default = false;
  bool is_winner = false;

  bool was_timed() const { return speedup.has_value(); }
};

/// The configuration that the others are compared with.
std::optional<TileConfig> default_of(const ReportProblem& problem);

/// Every trial, the fastest first; behind them those without a time, by their outcome. Pure.
std::vector<RankedTrial> rank_trials(const ReportProblem& problem);

/// The default's time over the winner's; empty where nothing is decided.
std::optional<double> speedup_of(const ReportProblem& problem);
/// The same of a record; empty where its times are none.
std::optional<double> speedup_of(const TuningRecord& record);

/// The noise band of the decision, else the usual one.
double band_of(const ReportProblem& problem);

/// The value at a share of sorted values, between two of them if need be; of none 0.
double quantile(std::vector<double> values, double share);

}  // namespace flashmask::tuning_report
