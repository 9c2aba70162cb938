#include <fmt/format.h>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/plots.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

std::string tile(std::string_view value, std::string_view caption, std::string_view css_class = "") {
  return fmt::format("<div class=\"tile {}\"><b>{}</b><span>{}</span></div>\n", css_class, value, caption);
}

std::string summary_tiles(const Group& group) {
  const GroupSummary summary = summary_of(group);
  const std::size_t open = group.problems.size() - summary.decided;
  std::string html = "<div class=\"tiles\">\n";
  html += tile(std::to_string(group.problems.size()), group.problems.size() == 1 ? "problem" : "problems");
  html +=
      tile(summary.decided > 0 ? speedup_text(summary.geometric_mean) : "-", "geometric mean over the default", "main");
  html += tile(summary.decided > 0 ? speedup_text(summary.greatest) : "-", "greatest speed-up");
  html += tile(std::to_string(summary.default_stays), fmt::format("of {} keep the default", summary.decided));
  html += tile(std::to_string(summary.trials), "configurations tried");
  if (open > 0) html += tile(std::to_string(open), "not decided yet", "open");
  return html + "</div>\n";
}

}  // namespace

std::string group_section(const Group& group, const ProblemNumbers& numbers) {
  const bool is_modelled = group.basis == TuningBasis::kModelled;
  std::string html = fmt::format("<section class=\"card group{}\">\n<h2>{} <span class=\"tag {}\">{}</span></h2>\n",
                                 is_modelled ? " modelled" : "", escaped(group.gpu.name), to_string(group.basis),
                                 is_modelled ? "modelled, not measured" : "measured");
  html += summary_tiles(group) + "<dl class=\"facts\">\n";
  for (const auto& [name, value] : circumstances_of(group))
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value));
  html += "</dl>\n";
  if (const auto plot = winners_plot(group.problems))
    html += fmt::format(
        "<h3>Speed-up over the default</h3>\n<div class=\"figure\">{}</div>\n<p class=\"note\">Shaded: "
        "the noise band, within which nothing counts as faster.</p>\n",
        inline_svg(*plot));
  return html + "<h3>Winner of each bucket</h3>\n" + winners_table(group, numbers) + "</section>\n";
}

std::string winners_table(const Group& group, const ProblemNumbers& numbers) {
  std::string html =
      "<div class=\"scroll\"><table class=\"sortable\">\n<thead><tr><th>#</th><th>descriptor</th><th>bucket</th>"
      "<th>winner</th><th>default</th><th class=\"n\">speed-up</th><th class=\"n\">band</th><th class=\"n\">rounds</th>"
      "<th>reason</th></tr></thead>\n<tbody>\n";
  for (const ReportProblem* problem : group.problems) {
    const std::size_t number = numbers.at(problem);
    html += fmt::format(
        "<tr><td data-v=\"{0}\"><a href=\"#p{0}\">{0}</a></td><td class=\"name\">{1}</td><td class=\"name\">{2}</td>",
        number, escaped(to_string(problem->key.descriptor)), escaped(to_string(problem->key.bucket)));
    if (!problem->record) {
      html += "<td class=\"open\" colspan=\"6\">not decided yet</td></tr>\n";
      continue;
    }
    const TuningRecord& record = *problem->record;
    const auto speedup = speedup_of(record);
    const bool stays = record.config == record.default_config;
    html += fmt::format(
        "<td><code{}>{}</code></td><td><code>{}</code></td><td class=\"n\" data-v=\"{}\"><b class=\"{}\">{}</b></td>"
        "<td class=\"n\" data-v=\"{}\">{}</td><td class=\"n\">{}</td><td class=\"reason\">{}</td></tr>\n",
        stays ? "" : " class=\"gain\"", stays ? "default stays" : escaped(to_string(record.config)),
        escaped(to_string(record.default_config)), speedup.value_or(0), stays ? "even" : "gain",
        speedup ? speedup_text(*speedup) : "-", is_time(record.band) ? record.band : 0, percent_text(record.band),
        record.rounds, escaped(record.reason));
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace flashmask::tuning_report
