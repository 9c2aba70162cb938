#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

struct Step {
  const char* name;
  std::size_t left;
};

std::vector<Step> steps_of(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  std::size_t compiled = 0, timed = 0, finalists = 0;
  for (const RankedTrial& trial : ranked) {
    compiled += trial.trial.outcome != TrialOutcome::kUncompilable;
    timed += trial.was_timed();
    finalists += trial.was_timed() && !trial.round_speedups.empty();
  }
  std::vector<Step> steps;
  if (problem.combinations > 0) {
    steps.push_back({"combinations", problem.combinations});
    steps.push_back({"legal", problem.legal});
    steps.push_back({"worth trying", problem.untried.size() + ranked.size()});
  }
  steps.insert(steps.end(),
               {{"tried", ranked.size()}, {"compiled", compiled}, {"timed", timed}, {"in rounds", finalists}});
  return steps;
}

}  // namespace

std::string funnel(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  const std::vector<Step> steps = steps_of(problem, ranked);
  std::string html = "<ol class=\"funnel\">\n";
  for (const Step& step : steps)
    html += fmt::format(
        "<li><b>{}</b><span>{}</span><i style=\"width:{:.1f}%\"></i></li>\n", step.left, step.name,
        steps[0].left > 0 ? 100.0 * static_cast<double>(step.left) / static_cast<double>(steps[0].left) : 0.0);
  return html + "</ol>\n";
}

}  // namespace flashmask::tuning_report
