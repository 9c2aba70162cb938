#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/tuning_report/report.h"

namespace flashmask::tuning_report {

/// Problems of one GPU and one basis: what may be summed up together.
struct Group {
  TuningBasis basis = TuningBasis::kMeasured;
  TuningGpu gpu;
  std::vector<const ReportProblem*> problems;
};

/// The groups of a report, measured ones first. They point into the data.
std::vector<Group> groups_of(const ReportData& data);

/// What came out for a group.
struct GroupSummary {
  std::size_t decided = 0;
  std::size_t default_stays = 0;
  double geometric_mean = 0;  ///< of the speed-ups over the default, those where it stays (1) included; 0: none
  double greatest = 0;
  std::size_t trials = 0;
};
GroupSummary summary_of(const Group& group);

/// The circumstances, each with its distinct values: ("driver", "13.0"), ("clock", "1590 to 1980 MHz"), …
std::vector<std::pair<std::string, std::string>> circumstances_of(const Group& group);

}  // namespace flashmask::tuning_report
