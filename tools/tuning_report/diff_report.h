#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/tuning_report/diff.h"

namespace flashmask::tuning_report {

/// For a terminal: counts, the share that agrees, and a line for each key that is not answered the same way; with
/// `all`, for every key.
std::string diff_text(const TuningDiff& diff, bool all = false);

/// The members of a JSON object: "a", "b", "counts", "in_both", "agreement" (null where nothing is in both) and
/// "entries".
nlohmann::ordered_json diff_json(const TuningDiff& diff);

}  // namespace flashmask::tuning_report
