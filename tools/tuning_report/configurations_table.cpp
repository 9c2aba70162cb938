#include <fmt/format.h>

#include <algorithm>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

/// Bars end at this many times the fastest: one that is far behind must not press all others together.
constexpr double kLongestBar = 2.5;

double time_of(const RankedTrial& ranked) {
  return ranked.fine_seconds > 0 ? ranked.fine_seconds : ranked.trial.coarse_seconds;
}

/// The time at which a bar is as long as it can be.
double full_bar(const std::vector<RankedTrial>& ranked) {
  double fastest = 0, slowest = 0;
  for (const RankedTrial& trial : ranked) {
    if (!trial.was_timed() || !is_time(time_of(trial))) continue;
    const double seconds = time_of(trial);
    fastest = fastest == 0 ? seconds : std::min(fastest, seconds);
    slowest = std::max({slowest, seconds, is_time(trial.trial.coarse_seconds) ? trial.trial.coarse_seconds : 0});
  }
  return std::min(slowest, kLongestBar * fastest);
}

std::string bar(std::string_view css_class, double seconds, double full) {
  if (!is_time(seconds) || full <= 0) return "";
  return fmt::format("<i class=\"{}{}\" style=\"width:{:.1f}%\"></i>", css_class, seconds > full ? " cut" : "",
                     100 * std::min(seconds / full, 1.0));
}

std::string time_cell(double seconds) {
  return is_time(seconds) ? fmt::format("<td class=\"n\" data-v=\"{}\">{}</td>", seconds, time_text(seconds))
                          : "<td class=\"n none\">-</td>";
}

std::string row(const RankedTrial& ranked, std::size_t place, double full) {
  const TuningTrial& trial = ranked.trial;
  const int spilled = trial.resources.spill_store_bytes + trial.resources.spill_load_bytes;
  const bool was_compiled = trial.resources.registers > 0;
  std::string html = fmt::format(
      "<tr{}><td class=\"n\">{}</td><td class=\"config\"><code>{}</code>{}{}</td><td class=\"bars\"><span>{}{}</span>"
      "</td>",
      ranked.is_winner    ? " class=\"win\""
      : ranked.is_default ? " class=\"def\""
                          : "",
      place, escaped(to_string(trial.config)), ranked.is_winner ? " <span class=\"tag gain\">winner</span>" : "",
      ranked.is_default ? " <span class=\"tag default\">default</span>" : "", bar("fine", ranked.fine_seconds, full),
      bar("coarse", trial.coarse_seconds, full));
  html += time_cell(ranked.fine_seconds) + time_cell(trial.coarse_seconds);
  html += ranked.was_timed() ? fmt::format("<td class=\"n\" data-v=\"{}\"><b>{}</b></td>", *ranked.speedup,
                                           speedup_text(*ranked.speedup))
                             : "<td class=\"n none\">-</td>";
  html += was_compiled
              ? fmt::format("<td class=\"n\">{}</td><td class=\"n{}\" data-v=\"{}\">{}</td>", trial.resources.registers,
                            spilled > 0 ? " bad" : "", spilled, spilled > 0 ? bytes_text(spilled) : "0")
              : "<td class=\"n none\">-</td><td class=\"n none\">-</td>";
  html += fmt::format("<td class=\"n\">{}</td>{}<td class=\"o-{}\">{}</td><td class=\"reason\">{}</td></tr>\n",
                      trial.ctas_per_sm, time_cell(trial.compile_seconds), to_string(trial.outcome),
                      to_string(trial.outcome), escaped(trial.reason));
  return html;
}

}  // namespace

std::string configurations_table(const std::vector<RankedTrial>& ranked) {
  if (ranked.empty()) return "<p class=\"note\">No configuration was tried yet.</p>\n";
  const double full = full_bar(ranked);
  std::string html =
      "<div class=\"scroll tall\"><table class=\"sortable\">\n<thead><tr><th class=\"n\">#</th><th>configuration</th>"
      "<th><span class=\"key fine\"></span>fine <span class=\"key coarse\"></span>coarse</th><th class=\"n\">fine</th>"
      "<th class=\"n\">coarse</th><th class=\"n\">speed-up</th><th class=\"n\">registers</th><th "
      "class=\"n\">spilled</th>"
      "<th class=\"n\">CTAs/SM</th><th class=\"n\">compile</th><th>outcome</th><th>reason</th></tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < ranked.size(); ++i) html += row(ranked[i], i + 1, full);
  return html + "</tbody></table></div>\n";
}

}  // namespace flashmask::tuning_report
