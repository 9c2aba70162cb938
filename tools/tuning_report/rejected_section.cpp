#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

/// Configurations that share a reason, both in the order in which they come.
class Reasons {
 public:
  void add(const std::string& reason, const TileConfig& config) {
    const auto found = std::ranges::find(reasons_, reason, [](const auto& entry) { return entry.first; });
    auto& entry = found == reasons_.end() ? reasons_.emplace_back(reason, std::vector<TileConfig>()) : *found;
    entry.second.push_back(config);
    ++count_;
  }
  std::size_t count() const { return count_; }

  std::string html() const {
    std::string text = "<dl class=\"reasons\">\n";
    for (const auto& [reason, configs] : reasons_) {
      text += fmt::format("<dt>{}{}</dt><dd>", reason.empty() ? "no reason is recorded" : escaped(reason),
                          configs.size() == 1 ? "" : fmt::format(" <span class=\"count\">{}</span>", configs.size()));
      for (const TileConfig& config : configs) text += fmt::format("<code>{}</code> ", escaped(to_string(config)));
      text += "</dd>\n";
    }
    return text + "</dl>\n";
  }

 private:
  std::vector<std::pair<std::string, std::vector<TileConfig>>> reasons_;
  std::size_t count_ = 0;
};

std::string folded(std::string_view name, std::string_view meaning, const Reasons& reasons) {
  if (reasons.count() == 0) return "";
  return fmt::format(
      "<details class=\"fold\"><summary><b>{}</b> <span class=\"count\">{}</span> <span "
      "class=\"note\">{}</span></summary>\n{}</details>\n",
      name, reasons.count(), meaning, reasons.html());
}

constexpr std::pair<TrialOutcome, std::string_view> kRejections[] = {
    {TrialOutcome::kSlow, "too far behind in the coarse timing"},
    {TrialOutcome::kSpills, "registers are spilled to local memory"},
    {TrialOutcome::kSerialised, "the assembler serialises its matrix products"},
    {TrialOutcome::kUncompilable, "the compiler refused it"},
    {TrialOutcome::kWrong, "its result differs from the reference"},
    {TrialOutcome::kCrashed, "its process ended"},
    {TrialOutcome::kHung, "it gave no answer in time"},
};

}  // namespace

std::string rejected_section(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  std::string html;
  for (const auto& [outcome, meaning] : kRejections) {
    Reasons reasons;
    for (const RankedTrial& trial : ranked)
      if (trial.trial.outcome == outcome) reasons.add(trial.trial.reason, trial.trial.config);
    html += folded(to_string(outcome), meaning, reasons);
  }
  Reasons pruned, untried;
  for (const PrunedMember& member : problem.pruned) pruned.add(member.reason, member.config);
  for (const TileConfig& config : problem.untried) untried.add("beyond the effort, or not yet its turn", config);
  html += folded("pruned", "by the resource model, before anything was compiled", pruned);
  html += folded("not tried", "worth a trial by the model", untried);
  return html.empty() ? "" : "<h3>Rejected, and why</h3>\n" + html;
}

}  // namespace flashmask::tuning_report
