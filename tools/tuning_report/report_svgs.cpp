#include <fmt/format.h>

#include "tools/tuning_report/group.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/plots.h"
#include "tools/tuning_report/report.h"

namespace flashmask::tuning_report {
namespace {

void add(std::vector<ReportFile>& files, std::string name, std::optional<Plot> plot, const std::string& subject) {
  if (!plot) return;
  plot->subject = subject;
  files.push_back({std::move(name), standalone_svg(*plot)});
}

}  // namespace

std::vector<ReportFile> report_svgs(const ReportData& data) {
  std::vector<ReportFile> files;
  std::size_t group_number = 0, number = 0;
  for (const Group& group : groups_of(data)) {
    // What is modelled says so in every file: one may be all that somebody sees.
    const std::string basis = group.basis == TuningBasis::kModelled ? ", modelled, not measured" : "";
    add(files, fmt::format("winners-{}-{}.svg", ++group_number, slug(group.gpu.name)), winners_plot(group.problems),
        group.gpu.name + basis);
    for (const ReportProblem* problem : group.problems) {
      const std::string subject = to_string(problem->key.descriptor) + ", " + to_string(problem->key.bucket) + basis;
      const std::string prefix = fmt::format("problem-{}-{}-", ++number, slug(to_string(problem->key.descriptor)));
      const std::vector<RankedTrial> ranked = rank_trials(*problem);
      add(files, prefix + "tiles.svg", heat_map(*problem, ranked), subject);
      add(files, prefix + "rounds.svg", rounds_plot(*problem, ranked), subject);
      add(files, prefix + "registers.svg", registers_plot(ranked), subject);
      add(files, prefix + "roofline.svg", roofline_plot(*problem, ranked), subject);
    }
  }
  return files;
}

}  // namespace flashmask::tuning_report
