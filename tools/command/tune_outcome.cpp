#include "tools/command/tune_outcome.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

using Json = nlohmann::ordered_json;
using command::json_of;

bool is_answered(const TunedProblem& tuned) {
  return tuned.result && tuned.result->record;
}

std::string_view end_name(TuningResult::End end) {
  switch (end) {
    case TuningResult::End::kDecided:
      return "decided";
    case TuningResult::End::kFound:
      return "found";
    case TuningResult::End::kStopped:
      return "stopped";
    case TuningResult::End::kUnanswered:
      return "unanswered";
  }
  return "unknown";
}

double speedup_of(const TuningRecord& record) {
  return record.seconds > 0 ? record.default_seconds / record.seconds : 1;
}

std::string text_of(const TunedProblem& tuned) {
  std::string text = fmt::format("\n{}\n  {}\n", to_string(tuned.problem.descriptor), to_string(tuned.problem));
  if (!tuned.failure.empty()) return text + fmt::format("  failed: {}\n", tuned.failure);
  if (!tuned.result) return text + "  not begun\n";
  const TuningResult& result = *tuned.result;
  text += fmt::format("  bucket    {}\n", to_string(result.key.bucket));
  if (result.end == TuningResult::End::kDecided || result.end == TuningResult::End::kStopped) {
    const TuningCounts& counts = result.counts;
    text += fmt::format(
        "  space     {} combinations, {} legal, {} worth trying, {} tried ({} taken from the database)\n"
        "            {} uncompilable, {} spill or serialise, {} failed, {} slow, {} finalists\n",
        counts.combinations, counts.legal, counts.worth_trying, counts.tried, counts.repeated, counts.uncompilable,
        counts.spilling, counts.failed, counts.slow, counts.finalists);
  }
  if (!result.record) return text + fmt::format("  {}: what was tried is kept\n", end_name(result.end));
  const TuningRecord& record = *result.record;
  return text + fmt::format(
                    "  winner    {}: {:.3f} times as fast as the default {}\n"
                    "            {:.4g} ms, {:.4g} ms; {} rounds, noise band {:.1f} %{}\n"
                    "            {}\n",
                    to_string(record.config), speedup_of(record), to_string(record.default_config),
                    record.seconds * 1e3, record.default_seconds * 1e3, record.rounds, record.band * 100,
                    result.end == TuningResult::End::kFound ? "; in the database" : "", record.reason);
}

/// The geometric mean of the speed-ups; 1 without any.
double mean_speedup(const TuneRun& run) {
  double sum = 0;
  int count = 0;
  for (const TunedProblem& tuned : run.problems)
    if (is_answered(tuned)) {
      sum += std::log(speedup_of(*tuned.result->record));
      ++count;
    }
  return count == 0 ? 1 : std::exp(sum / count);
}

int answered(const TuneRun& run) {
  int count = 0;
  for (const TunedProblem& tuned : run.problems) count += is_answered(tuned) ? 1 : 0;
  return count;
}

Json json_of(const TuningBucket& bucket) {
  return {{"seqlen_q", bucket.seqlen_q},
          {"seqlen_k", bucket.seqlen_k},
          {"heads", bucket.heads},
          {"density", to_string(bucket.density)}};
}

Json json_of(const TuningCounts& counts) {
  return {{"combinations", counts.combinations},
          {"legal", counts.legal},
          {"worth_trying", counts.worth_trying},
          {"tried", counts.tried},
          {"repeated", counts.repeated},
          {"uncompilable", counts.uncompilable},
          {"spilling", counts.spilling},
          {"failed", counts.failed},
          {"slow", counts.slow},
          {"finalists", counts.finalists}};
}

Json json_of(const TunedProblem& tuned) {
  Json json = {{"descriptor", json_of(tuned.problem.descriptor)},
               {"problem", to_string(tuned.problem)},
               {"end", tuned.result            ? end_name(tuned.result->end)
                       : tuned.failure.empty() ? "not_begun"
                                               : "failed"},
               {"failure", tuned.failure}};
  if (!tuned.result) return json;
  const TuningResult& result = *tuned.result;
  json["bucket"] = json_of(result.key.bucket);
  json["counts"] = json_of(result.counts);
  json["trials"] = Json::array();
  for (const TuningTrial& trial : result.trials)
    json["trials"].push_back({{"config", to_string(trial.config)},
                              {"outcome", to_string(trial.outcome)},
                              {"reason", trial.reason},
                              {"coarse_seconds", trial.coarse_seconds},
                              {"registers", trial.resources.registers}});
  if (!result.record) return json;
  const TuningRecord& record = *result.record;
  json["winner"] = {{"config", json_of(record.config)}, {"default_config", json_of(record.default_config)},
                    {"seconds", record.seconds},        {"default_seconds", record.default_seconds},
                    {"speedup", speedup_of(record)},    {"band", record.band},
                    {"rounds", record.rounds},          {"reason", record.reason}};
  return json;
}

}  // namespace

std::string report_text(const TuneRun& run) {
  std::string text = fmt::format("device      {}\ndatabase    {}\n", run.device, run.database);
  if (run.basis == TuningBasis::kModelled)
    text += "basis       modelled by what the emulator counted: nothing here was measured\n";
  for (const TunedProblem& tuned : run.problems) text += text_of(tuned);
  return text + fmt::format("\n{} of {} answered in {:.1f} s; geometric mean of the speed-ups {:.3f}\n", answered(run),
                            run.problems.size(), run.seconds, mean_speedup(run));
}

std::string report_json(const TuneRun& run) {
  Json json = {{"schema", kSchema},        {"command", "tune"},         {"version", version()},
               {"device", run.device},     {"database", run.database},  {"basis", to_string(run.basis)},
               {"seconds", run.seconds},   {"answered", answered(run)}, {"mean_speedup", mean_speedup(run)},
               {"problems", Json::array()}};
  for (const TunedProblem& tuned : run.problems) json["problems"].push_back(json_of(tuned));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

ExitCode exit_code_of(const TuneRun& run) {
  const auto count = static_cast<std::size_t>(answered(run));
  if (count == run.problems.size()) return kExitOk;
  return count == 0 ? kExitFailed : kExitPartly;
}

std::string space_text(const TuningProblem& problem, TuningEffort effort) {
  const TileSpace space = tile_space(problem.descriptor);
  const std::vector<SpaceMember> members = members_for(space, effort);
  std::string text = fmt::format("{}\n  {}\n  {} combinations, {} legal, {} worth trying, {} tried with --effort {}\n",
                                 to_string(problem.descriptor), to_string(problem), space.combinations, space.legal,
                                 space.members.size(), members.size(), to_string(effort));
  for (const SpaceMember& member : members)
    text += fmt::format("  try     {:<40} {} CTAs per SM, {} bytes of shared memory\n", to_string(member.config),
                        member.resources.ctas_per_sm, member.resources.shared_bytes);
  for (const PrunedMember& pruned : space.pruned)
    text += fmt::format("  pruned  {:<40} {}\n", to_string(pruned.config), pruned.reason);
  return text;
}

std::string space_json(const std::vector<TuningProblem>& problems, TuningEffort effort) {
  Json json = {{"schema", kSchema}, {"command", "tune"}, {"version", version()}, {"spaces", Json::array()}};
  for (const TuningProblem& problem : problems) {
    const TileSpace space = tile_space(problem.descriptor);
    Json one = {{"descriptor", json_of(problem.descriptor)},
                {"problem", to_string(problem)},
                {"combinations", space.combinations},
                {"legal", space.legal},
                {"worth_trying", space.members.size()},
                {"try", Json::array()},
                {"pruned", Json::array()}};
    for (const SpaceMember& member : members_for(space, effort)) one["try"].push_back(to_string(member.config));
    for (const PrunedMember& pruned : space.pruned)
      one["pruned"].push_back({{"config", to_string(pruned.config)}, {"reason", pruned.reason}});
    json["spaces"].push_back(std::move(one));
  }
  return json.dump(2) + "\n";
}

}  // namespace flashmask::command
