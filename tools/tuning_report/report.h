#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "flashmask/tile_space.h"
#include "flashmask/tuning.h"

namespace flashmask::tuning_report {

/// All that is known of one tuning key.
struct ReportProblem {
  TuningKey key;
  std::optional<TuningRecord> record;        ///< empty: not decided yet
  std::optional<TileConfig> default_config;  ///< where there is no record: the default of this library
  std::vector<TuningTrial> trials;
  std::vector<TuningRound> rounds;
  // The space of the descriptor, as this library sees it.
  std::size_t combinations = 0;  ///< 0: the space is not known
  std::size_t legal = 0;
  std::vector<PrunedMember> pruned;  ///< that have no trial
  std::vector<TileConfig> untried;   ///< worth a trial, and without one
  /// Scores that the mask of the timed problem leaves, over batch and heads; empty: not known, and nothing is said of
  /// TFLOP/s.
  std::optional<double> visible_scores;
};

/// What a report shows.
struct ReportData {
  std::string source;   ///< where it comes from: the path of the database
  std::string library;  ///< version of the library that writes the report
  std::string date;     ///< of the report, UTC; empty: not shown
  std::vector<ReportProblem> problems;
};

/// One self-contained HTML page: styles, pictures and a little script inside, nothing from elsewhere. Any text of the
/// data may be hostile; it is shown as text. Equal data gives equal text.
std::string report_html(const ReportData& data);

/// A file to be written.
struct ReportFile {
  std::string name;  ///< of letters, digits, '-', '_' and '.'; different from all others
  std::string text;
};
/// The plots of the page as files of their own, in the page's order.
std::vector<ReportFile> report_svgs(const ReportData& data);

}  // namespace flashmask::tuning_report
