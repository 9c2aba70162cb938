#include <fmt/format.h>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {

const char* mark_of(const RankedTrial& trial) {
  if (trial.is_winner) return " win";
  if (trial.is_default) return " def";
  if (!trial.was_timed()) return " bad";
  return trial.round_speedups.empty() ? " slow" : "";
}

std::string tip_of(const RankedTrial& ranked) {
  const TuningTrial& trial = ranked.trial;
  std::string tip = to_string(trial.config);
  if (ranked.is_winner) tip += ", winner";
  if (ranked.is_default) tip += ", default";
  if (ranked.was_timed())
    tip += fmt::format("\n{} the default's speed, {}", speedup_text(*ranked.speedup),
                       ranked.fine_seconds > 0 ? time_text(ranked.fine_seconds) + " in rounds"
                                               : time_text(trial.coarse_seconds) + " coarsely");
  else
    tip += fmt::format("\n{}", to_string(trial.outcome));
  const int spilled = trial.resources.spill_store_bytes + trial.resources.spill_load_bytes;
  if (trial.resources.registers > 0)
    tip += fmt::format("\n{} registers, {} bytes spilled, {}", trial.resources.registers, spilled,
                       count_text(trial.ctas_per_sm, "CTA per SM", "CTAs per SM"));
  if (!trial.reason.empty()) tip += "\n" + trial.reason;
  return tip;
}

}  // namespace flashmask::tuning_report
