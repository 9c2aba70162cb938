#pragma once

#include <optional>
#include <string_view>

#include "flashmask/tuning_problem.h"

namespace flashmask::tuning_report {

/// The problem that to_string(TuningProblem) writes like this. Empty for any other text, and for lengths beyond what a
/// report counts. The text may be hostile.
std::optional<TuningProblem> parse_tuning_problem(const KernelDescriptor& descriptor, std::string_view text);

/// Scores that the mask of that problem leaves, over batch and heads, by tiles; empty where the text names no problem.
std::optional<double> visible_scores(const KernelDescriptor& descriptor, std::string_view text);

}  // namespace flashmask::tuning_report
