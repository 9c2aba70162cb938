#include <fmt/format.h>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/report.h"
#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {
namespace {

/// So many problems are unfolded at first; the others wait behind their heads.
constexpr std::size_t kOpen = 1;

std::string head(const ReportData& data) {
  // The policy lets nothing in from elsewhere, and no script but the one at the end: not even one that a text brought.
  // The empty icon keeps browsers from asking a server for one.
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src '{}'; img-src data:"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<link rel="icon" href="data:,"/>
<title>Tuning report{}</title>
<style>{}</style>
</head>
)",
                     page_script_digest(), data.source.empty() ? "" : ": " + escaped(data.source), page_style());
}

std::string banner(const std::vector<Group>& groups, std::size_t problems) {
  std::size_t modelled = 0;
  for (const Group& group : groups)
    if (group.basis == TuningBasis::kModelled) modelled += group.problems.size();
  if (modelled == 0) return "";
  const std::string which = modelled == problems ? "" : fmt::format("{} of {} problems are ", modelled, problems);
  return fmt::format(
      "<div class=\"banner\" role=\"alert\"><strong>{}{}odelled, not measured.</strong> Their seconds "
      "come from a cost model fed by the emulator's counts. They show how tuning works, and say nothing "
      "of how fast a kernel runs on a GPU.</div>\n",
      which, which.empty() ? "M" : "m");
}

}  // namespace

std::string report_html(const ReportData& data) {
  const std::vector<Group> groups = groups_of(data);
  ProblemNumbers numbers;
  for (const Group& group : groups)
    for (const ReportProblem* problem : group.problems) numbers.emplace(problem, numbers.size() + 1);

  std::string html = head(data) + "<body>\n<header class=\"top\">\n<p class=\"brand\">FlashMask JIT";
  if (!data.library.empty()) html += " " + escaped(data.library);
  html += "</p>\n<h1>Tuning report</h1>\n<p class=\"sub\">";
  html += count_text(static_cast<double>(data.problems.size()), "problem", "problems");
  if (!data.source.empty()) html += " of <code>" + escaped(data.source) + "</code>";
  if (!data.date.empty()) html += ", " + escaped(data.date);
  html += "</p>\n</header>\n<main>\n" + banner(groups, data.problems.size());
  if (data.problems.empty())
    html +=
        "<section class=\"card\"><p>Nothing was tuned yet: <code>flashmask tune</code> fills the database.</p>"
        "</section>\n";
  for (const Group& group : groups) {
    html += group_section(group, numbers);
    for (const ReportProblem* problem : group.problems)
      html += problem_section(*problem, numbers.at(problem), numbers.at(problem) <= kOpen);
  }
  html +=
      "</main>\n<footer>Speed-ups are the default configuration's time over a configuration's: above 1 is faster. "
      "All of this page is in this one file.</footer>\n";
  return html + fmt::format("<script>{}</script>\n</body>\n</html>\n", page_script());
}

}  // namespace flashmask::tuning_report
