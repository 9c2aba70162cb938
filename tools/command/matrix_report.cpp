#include "tools/command/matrix_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

bool is_there(const MatrixKernel& kernel) {
  return kernel.outcome == MatrixOutcome::kFound || kernel.outcome == MatrixOutcome::kCompiled;
}

std::size_t count(const MatrixRun& run, MatrixOutcome outcome) {
  return static_cast<std::size_t>(
      std::count_if(run.kernels.begin(), run.kernels.end(),
                    [outcome](const MatrixKernel& kernel) { return kernel.outcome == outcome; }));
}

/// "forward bf16 d128 c1 bottom-right sm_80, tiles 128x64 w4 s2".
std::string name_of(const KernelRequest& request) {
  return to_string(request.descriptor) + (request.config ? ", tiles " + to_string(*request.config) : "");
}

std::string in_words(std::size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

template <typename Field>
std::string distinct(const MatrixRun& run, Field field) {
  std::set<std::string> values;
  for (const MatrixKernel& kernel : run.kernels)
    if (std::string value = field(kernel); !value.empty()) values.insert(std::move(value));
  return fmt::format("{}", fmt::join(values, ", "));
}

std::size_t tuned_kernels(const MatrixRun& run) {
  return static_cast<std::size_t>(std::ranges::count_if(run.kernels, &MatrixKernel::is_tuned));
}

std::size_t cubin_bytes(const MatrixRun& run) {
  std::size_t bytes = 0;
  for (const MatrixKernel& kernel : run.kernels) bytes += kernel.cubin_bytes;
  return bytes;
}

nlohmann::ordered_json json_of(const MatrixKernel& kernel) {
  nlohmann::ordered_json json = {{"descriptor", command::json_of(kernel.request.descriptor)},
                                 {"outcome", json_name(to_string(kernel.outcome))},
                                 {"tuned", kernel.is_tuned}};
  if (is_there(kernel)) {
    json["config"] = command::json_of(kernel.config);
    json["digest"] = kernel.digest;
    json["origin"] = to_string(kernel.origin);
    json["toolchain"] = kernel.toolchain;
    json["compile_seconds"] = kernel.compile_seconds;
    json["cubin_bytes"] = kernel.cubin_bytes;
    json["resources"] = command::json_of(kernel.resources);
  } else {
    json["config"] = kernel.request.config ? command::json_of(*kernel.request.config) : nullptr;
    json["reason"] = kernel.reason;
  }
  return json;
}

}  // namespace

ExitCode exit_code_of(const MatrixRun& run) {
  // Tuned kernels are for speed alone: without one a request is served all the same.
  const auto own = [&](MatrixOutcome outcome) {
    return static_cast<std::size_t>(std::ranges::count_if(
        run.kernels, [outcome](const MatrixKernel& kernel) { return !kernel.is_tuned && kernel.outcome == outcome; }));
  };
  const auto done = own(MatrixOutcome::kFound) + own(MatrixOutcome::kCompiled);
  if (own(MatrixOutcome::kNotCached) > 0) return kExitNotCached;
  if (done == run.kernels.size() - tuned_kernels(run)) return kExitOk;
  if (done > 0) return kExitPartly;
  return own(MatrixOutcome::kFailed) > 0 ? kExitFailed : kExitUnsupported;
}

std::string report_text(const MatrixRun& run) {
  const std::string targets =
      distinct(run, [](const MatrixKernel& kernel) { return to_string(kernel.request.descriptor.target); });
  const std::string toolchains = distinct(run, [](const MatrixKernel& kernel) { return kernel.toolchain; });
  const std::size_t tuned = tuned_kernels(run);
  std::string text = fmt::format("manifest     {}: {} kernels{}\n", run.manifest, run.kernels.size() - tuned,
                                 targets.empty() ? "" : " for " + targets);
  if (tuned > 0) text += fmt::format("tuned        {} more, in configurations that answers of tuning name\n", tuned);
  text += fmt::format("found        {}\n", count(run, MatrixOutcome::kFound));
  text += fmt::format("compiled     {} in {:.1f} s by {} {}\n", count(run, MatrixOutcome::kCompiled), run.seconds,
                      run.jobs, run.jobs == 1 ? "thread" : "threads");
  for (const MatrixOutcome outcome :
       {MatrixOutcome::kUnsupported, MatrixOutcome::kFailed, MatrixOutcome::kNotCached, MatrixOutcome::kLeft})
    if (const std::size_t kernels = count(run, outcome))
      text += fmt::format("{:<12} {}\n", to_string(outcome), kernels);
  if (!toolchains.empty()) text += fmt::format("toolchain    {}\n", toolchains);
  return text + fmt::format("cache        {}: cubins of {}\n", run.cache_directory, in_words(cubin_bytes(run)));
}

std::string report_json(const MatrixRun& run) {
  nlohmann::ordered_json json = {{"schema", kSchema},
                                 {"command", "compile"},
                                 {"version", version()},
                                 {"manifest", run.manifest},
                                 {"cache", run.cache_directory},
                                 {"jobs", run.jobs},
                                 {"seconds", run.seconds},
                                 {"complete", exit_code_of(run) == kExitOk}};
  json["counts"] = {{"kernels", run.kernels.size()}, {"tuned", tuned_kernels(run)}};
  for (std::size_t i = 0; i < kMatrixOutcomes; ++i) {
    const auto outcome = static_cast<MatrixOutcome>(i);
    json["counts"][json_name(to_string(outcome))] = count(run, outcome);
  }
  json["cubin_bytes"] = cubin_bytes(run);
  json["kernels"] = nlohmann::ordered_json::array();
  for (const MatrixKernel& kernel : run.kernels) json["kernels"].push_back(json_of(kernel));
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string missing_text(const std::vector<MatrixKernel>& kernels) {
  using Group = std::tuple<MatrixOutcome, std::string, std::string>;
  std::map<Group, std::vector<std::string>> groups;
  for (const MatrixKernel& kernel : kernels)
    if (!is_there(kernel)) groups[{kernel.outcome, kernel.reason, kernel.hint}].push_back(name_of(kernel.request));
  std::string text;
  for (const auto& [group, names] : groups) {
    const auto& [outcome, reason, hint] = group;
    text +=
        fmt::format("flashmask: {}: {}\n", to_string(outcome),
                    outcome == MatrixOutcome::kLeft ? "an interrupt came before; the same command goes on" : reason);
    for (const std::string& name : names) text += fmt::format("  {}\n", name);
    if (!hint.empty()) text += fmt::format("hint: {}\n", hint);
  }
  return text;
}

}  // namespace flashmask::command
