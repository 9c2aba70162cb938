#include "tools/tuning_report/collect_report.h"

#include <algorithm>
#include <stdexcept>

#include "flashmask/runtime.h"
#include "tools/tuning_report/problem_scores.h"

namespace flashmask::tuning_report {
namespace {

bool was_tried(const std::vector<TuningTrial>& trials, const TileConfig& config) {
  return std::ranges::find(trials, config, &TuningTrial::config) != trials.end();
}

/// A trial tells more than the model that would have spared it: another version of the library tried it.
void add_space(ReportProblem& problem) {
  TileSpace space;
  try {
    space = tile_space(problem.key.descriptor);
  } catch (const std::invalid_argument&) {
    return;  // a descriptor that this library does not generate
  }
  problem.combinations = space.combinations;
  problem.legal = space.legal;
  problem.default_config = space.members.front().config;
  for (PrunedMember& member : space.pruned)
    if (!was_tried(problem.trials, member.config)) problem.pruned.push_back(std::move(member));
  for (const SpaceMember& member : space.members)
    if (!was_tried(problem.trials, member.config)) problem.untried.push_back(member.config);
}

}  // namespace

ReportData collect_report(const TuningDatabase& database) {
  ReportData data;
  data.source = database.path();
  data.library = version();
  for (const TuningKey& key : database.keys()) {
    ReportProblem problem;
    problem.key = key;
    problem.record = database.record(key);
    problem.trials = database.trials(key);
    problem.rounds = database.rounds(key);
    add_space(problem);
    if (problem.record) problem.visible_scores = visible_scores(key.descriptor, problem.record->provenance.problem);
    data.problems.push_back(std::move(problem));
  }
  return data;
}

}  // namespace flashmask::tuning_report
