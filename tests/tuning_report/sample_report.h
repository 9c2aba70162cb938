#pragma once

#include "tools/tuning_report/report.h"

namespace flashmask::test {

/// A report as tuning on a GPU leaves it, made up: forwards and a backward for sm_90a over two lengths, an undecided
/// problem, every outcome, and the real space of the descriptors. Always the same.
tuning_report::ReportData sample_report();

/// The same problems as the cost model answers them.
tuning_report::ReportData modelled_sample_report();

/// A configuration's trial and answer for small tests.
TuningTrial trial_of(const TileConfig& config, TrialOutcome outcome, double coarse_seconds, std::string reason = "");
TuningRecord record_of(const TuningKey& key, const TileConfig& config, const TileConfig& default_config, double seconds,
                       double default_seconds);
/// For an H100: "forward bf16 d128 c1 bottom-right sm_90a", 8192 x 8192, 32 heads, medium.
TuningKey sample_key();

}  // namespace flashmask::test
