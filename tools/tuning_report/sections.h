#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/tuning_report/group.h"
#include "tools/tuning_report/ranking.h"

namespace flashmask::tuning_report {

// The parts of the page, as HTML.

/// A problem's place among all, from 1: its anchor is "p1".
using ProblemNumbers = std::map<const ReportProblem*, std::size_t>;

/// A GPU: banner, circumstances, summary, plot and table of its winners.
std::string group_section(const Group& group, const ProblemNumbers& numbers);
std::string winners_table(const Group& group, const ProblemNumbers& numbers);

/// A problem, folded unless `is_open`.
std::string problem_section(const ReportProblem& problem, std::size_t number, bool is_open);
/// Every trial, the fastest first, with bars of its times.
std::string configurations_table(const std::vector<RankedTrial>& ranked);
/// From all combinations to the winner, and how many are left at each step.
std::string funnel(const ReportProblem& problem, const std::vector<RankedTrial>& ranked);
/// What was tried or pruned and is out, by outcome and reason.
std::string rejected_section(const ReportProblem& problem, const std::vector<RankedTrial>& ranked);

/// The style and the script of the page.
std::string page_style();
std::string_view page_script();
/// Of the script, as a content security policy names it: "sha256-…".
std::string_view page_script_digest();

}  // namespace flashmask::tuning_report
