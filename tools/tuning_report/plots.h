#pragma once

#include <optional>
#include <vector>

#include "tools/tuning_report/plot.h"
#include "tools/tuning_report/ranking.h"

namespace flashmask::tuning_report {

// The pictures of a report. Each is empty where the data has nothing to show. `ranked`: rank_trials() of the problem.

/// The speed-up of each problem's winner over the default, with the noise band.
std::optional<Plot> winners_plot(const std::vector<const ReportProblem*>& problems);
/// tile_q x tile_k: in each cell the best of the configurations with these tiles.
std::optional<Plot> heat_map(const ReportProblem& problem, const std::vector<RankedTrial>& ranked);
/// The finalists' speed-ups round by round, as dots and boxes, with the noise band.
std::optional<Plot> rounds_plot(const ReportProblem& problem, const std::vector<RankedTrial>& ranked);
/// Registers and spilled bytes of each configuration, the fastest first.
std::optional<Plot> registers_plot(const std::vector<RankedTrial>& ranked);
/// TFLOP/s against the FLOP for each byte that the tiles bring in, below the ceiling of the GPU where it is known.
std::optional<Plot> roofline_plot(const ReportProblem& problem, const std::vector<RankedTrial>& ranked);

/// ".. win", ".. def" or ".. slow": how all plots mark a trial.
const char* mark_of(const RankedTrial& trial);
/// What a plot tells of a trial that is pointed at, in lines.
std::string tip_of(const RankedTrial& trial);

}  // namespace flashmask::tuning_report
