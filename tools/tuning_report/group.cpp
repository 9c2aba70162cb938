#include "tools/tuning_report/group.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/ranking.h"

namespace flashmask::tuning_report {
namespace {

constexpr std::size_t kShownDigits = 12;

template <typename Field>
std::string distinct(const Group& group, Field field) {
  std::set<std::string> values;
  for (const ReportProblem* problem : group.problems)
    if (std::string value = field(*problem); !value.empty()) values.insert(std::move(value));
  return fmt::format("{}", fmt::join(values, ", "));
}

template <typename Field>
std::string of_records(const Group& group, Field field) {
  return distinct(group, [&](const ReportProblem& problem) {
    return problem.record ? field(problem.record->provenance) : std::string();
  });
}

/// Of the rounds and the answers.
std::string clocks_of(const Group& group) {
  int lowest = 0, highest = 0;
  const auto add = [&](int clock) {
    if (clock <= 0) return;
    lowest = lowest == 0 ? clock : std::min(lowest, clock);
    highest = std::max(highest, clock);
  };
  for (const ReportProblem* problem : group.problems) {
    if (problem->record) add(problem->record->provenance.sm_clock_mhz);
    for (const TuningRound& round : problem->rounds) add(round.sm_clock_mhz);
  }
  if (highest == 0) return "not known";
  return lowest == highest ? fmt::format("{} MHz", highest) : fmt::format("{} to {} MHz", lowest, highest);
}

std::string dates_of(const Group& group) {
  std::set<std::string> dates;
  for (const ReportProblem* problem : group.problems)
    if (problem->record && !problem->record->provenance.date.empty()) dates.insert(problem->record->provenance.date);
  if (dates.empty()) return "";
  return dates.size() == 1 ? *dates.begin() : fmt::format("{} to {}", *dates.begin(), *dates.rbegin());
}

}  // namespace

std::vector<Group> groups_of(const ReportData& data) {
  std::vector<Group> groups;
  for (const ReportProblem& problem : data.problems) {
    auto found = std::ranges::find_if(
        groups, [&](const Group& group) { return group.basis == problem.key.basis && group.gpu == problem.key.gpu; });
    if (found == groups.end()) found = groups.insert(groups.end(), {problem.key.basis, problem.key.gpu, {}});
    found->problems.push_back(&problem);
  }
  std::ranges::stable_sort(groups, {}, &Group::basis);
  return groups;
}

GroupSummary summary_of(const Group& group) {
  GroupSummary summary;
  double logarithms = 0;
  for (const ReportProblem* problem : group.problems) {
    summary.trials += problem->trials.size();
    const auto speedup = speedup_of(*problem);
    if (!speedup) continue;
    ++summary.decided;
    summary.default_stays += problem->record->config == problem->record->default_config;
    logarithms += std::log(*speedup);
    summary.greatest = std::max(summary.greatest, *speedup);
  }
  if (summary.decided > 0) summary.geometric_mean = std::exp(logarithms / static_cast<double>(summary.decided));
  return summary;
}

std::vector<std::pair<std::string, std::string>> circumstances_of(const Group& group) {
  const TuningGpu& gpu = group.gpu;
  std::vector<std::pair<std::string, std::string>> facts = {
      {"GPU", gpu.name},
      {"basis", std::string(to_string(group.basis))},
      {"compute capability", fmt::format("{}.{}", gpu.compute_capability / 10, gpu.compute_capability % 10)},
      {"multiprocessors", std::to_string(gpu.multiprocessors)},
      {"L2", bytes_text(static_cast<double>(gpu.l2_bytes))},
      {"shared memory of a block", bytes_text(static_cast<double>(gpu.shared_bytes_per_block))},
      {"SM clock", clocks_of(group)},
      {"driver", of_records(group, [](const TuningProvenance& at) { return at.driver; })},
      {"compiler", of_records(group, [](const TuningProvenance& at) { return at.toolchain; })},
      {"library", of_records(group, [](const TuningProvenance& at) { return at.library; })},
      {"effort", of_records(group, [](const TuningProvenance& at) { return at.effort; })},
      {"method", distinct(group, [](const ReportProblem& problem) { return problem.key.method; })},
      {"templates",
       distinct(group, [](const ReportProblem& problem) { return problem.key.templates.substr(0, kShownDigits); })},
      {"date", dates_of(group)}};
  for (auto& [name, value] : facts)
    if (value.empty()) value = "-";
  return facts;
}

}  // namespace flashmask::tuning_report
