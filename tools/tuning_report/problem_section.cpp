#include <fmt/format.h>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/plots.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

std::string figure(const std::optional<Plot>& plot, std::string_view caption, std::string_view note) {
  if (!plot) return "";
  return fmt::format(
      "<figure><figcaption>{}</figcaption><div class=\"figure\">{}</div><p class=\"note\">{}</p>"
      "</figure>\n",
      caption, inline_svg(*plot), note);
}

std::string verdict(const ReportProblem& problem) {
  if (!problem.record)
    return "<p class=\"verdict open\">Not decided yet: the same <code>flashmask tune</code> goes on from here.</p>\n";
  const TuningRecord& record = *problem.record;
  const auto speedup = speedup_of(record);
  std::string html = "<p class=\"verdict\">";
  if (record.config == record.default_config)
    html += fmt::format("The default <code>{}</code> stays", escaped(to_string(record.config)));
  else
    html += fmt::format(
        "<code class=\"gain\">{}</code> is <b class=\"gain\">{}</b> as fast as the default "
        "<code class=\"default\">{}</code>",
        escaped(to_string(record.config)), speedup ? speedup_text(*speedup) : "-",
        escaped(to_string(record.default_config)));
  html += fmt::format(": {} against {}, band {}, {}.", time_text(record.seconds), time_text(record.default_seconds),
                      percent_text(record.band), count_text(record.rounds, "round", "rounds"));
  if (!record.reason.empty()) html += fmt::format(" <span class=\"reason\">{}</span>", escaped(record.reason));
  html += "</p>\n";
  if (!record.provenance.problem.empty())
    html += fmt::format("<p class=\"note\">Timed problem: {}</p>\n", escaped(record.provenance.problem));
  return html;
}

std::string badge(const ReportProblem& problem) {
  if (!problem.record) return "<span class=\"pill open\">open</span>";
  if (problem.record->config == problem.record->default_config) return "<span class=\"pill\">default stays</span>";
  const auto speedup = speedup_of(problem);
  return fmt::format("<span class=\"pill gain\">{}</span>", speedup ? speedup_text(*speedup) : "-");
}

}  // namespace

std::string problem_section(const ReportProblem& problem, std::size_t number, bool is_open) {
  const std::vector<RankedTrial> ranked = rank_trials(problem);
  const bool is_modelled = problem.key.basis == TuningBasis::kModelled;
  std::string html = fmt::format(
      "<details class=\"card problem\"{}>\n<summary><span class=\"number\">{}</span><span class=\"names\"><b>{}</b>"
      "<span>{}</span></span>{}{}</summary>\n<div class=\"body\" id=\"p{}\">\n",
      is_open ? " open=\"open\"" : "", number, escaped(to_string(problem.key.descriptor)),
      escaped(to_string(problem.key.bucket)), is_modelled ? "<span class=\"tag modelled\">modelled</span>" : "",
      badge(problem), number);
  html += verdict(problem) + funnel(problem, ranked) + "<div class=\"figures\">\n";
  html += figure(heat_map(problem, ranked), "Tiles",
                 "The best speed-up over the default for each size, and its variant: s stages, o overlap, t turns, q "
                 "query slots, r queries in registers, c column warps, w warps where the rows do not tell. Point at a "
                 "cell for all of it.");
  html += figure(rounds_plot(problem, ranked), "Speed-up over the default, round by round",
                 "Shaded: the noise band. Boxes hold the middle half of the rounds.");
  html += figure(registers_plot(ranked), "Registers and spills", "Each compiled configuration, the fastest first.");
  html += figure(
      roofline_plot(problem, ranked), "Roofline",
      "By the visible scores of the timed problem; configurations with equal tiles lie side by side. Dotted: what "
      "tiles bring in from L2 in a second.");
  html += "</div>\n<h3>Configurations</h3>\n" + configurations_table(ranked) + rejected_section(problem, ranked);
  return html + "</div>\n</details>\n";
}

}  // namespace flashmask::tuning_report
