#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

std::string_view name_of(Finding::Status status) {
  switch (status) {
    case Finding::Status::kOk:
      return "ok";
    case Finding::Status::kMissing:
      return "missing";
    case Finding::Status::kProblem:
      return "problem";
  }
  return "unknown";
}

std::string report_text(const std::vector<Finding>& findings) {
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.subject.size());
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<{}}  {:<7}  {}\n", finding.subject, width, name_of(finding.status), finding.detail);
    if (!finding.mend.empty()) text += fmt::format("{:<{}}  mend:    {}\n", "", width, finding.mend);
  }
  return text;
}

std::string report_json(const std::vector<Finding>& findings, bool ok) {
  nlohmann::ordered_json json = {{"schema", kSchema}, {"command", "doctor"}, {"version", version()}, {"ok", ok}};
  json["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    json["findings"].push_back({{"subject", finding.subject},
                                {"status", name_of(finding.status)},
                                {"detail", finding.detail},
                                {"mend", finding.mend}});
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

ExitCode doctor(const DoctorArguments& arguments) {
  const std::vector<Finding> findings = diagnose(Policy::from_environment());
  // What is missing need not be there: a machine without a GPU is served by the emulator.
  const bool ok = std::none_of(findings.begin(), findings.end(),
                               [](const Finding& finding) { return finding.status == Finding::Status::kProblem; });
  print_result(arguments.json ? report_json(findings, ok) : report_text(findings));
  return ok ? kExitOk : kExitFailed;
}

}  // namespace flashmask::command
