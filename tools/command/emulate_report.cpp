#include "tools/command/emulate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "flashmask/runtime.h"
#include "tools/command/kernel_json.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {
namespace {

using nlohmann::ordered_json;

std::uint64_t number_of_runs(const EmulateReport& report) {
  return report.exploration ? report.exploration->runs : report.runs.size();
}

std::string lower(std::string_view name) {
  std::string text(name);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string extents_text(const std::uint32_t (&extents)[3]) {
  return fmt::format("{}x{}x{}", extents[0], extents[1], extents[2]);
}

std::string kernel_text(const EmulateReport& report) {
  const emulator::LaunchShape& shape = report.shape;
  std::string text = fmt::format("{} of {}, grid {}, block {}", report.entry, report.kernel, extents_text(shape.grid),
                                 extents_text(shape.block));
  if (shape.cluster[0] != 1 || shape.cluster[1] != 1 || shape.cluster[2] != 1) {
    text += ", cluster " + extents_text(shape.cluster);
  }
  if (shape.cooperative) text += ", cooperative";
  if (shape.dynamic_shared_bytes != 0) text += fmt::format(", {} bytes of shared memory", shape.dynamic_shared_bytes);
  return text;
}

std::string runs_text(const EmulateReport& report) {
  if (report.exploration) {
    return fmt::format("{} of at most {} preemptions, {}", report.exploration->runs, report.preemptions,
                       report.exploration->complete ? "every order within that bound" : "then the limit was reached");
  }
  double seconds = 0;
  for (const EmulatedRun& run : report.runs) seconds += run.seconds;
  const EmulatedRun& first = report.runs.front();
  std::string text = fmt::format("{} in {:.2f} s, no rule broken; ", report.runs.size(), seconds);
  if (report.runs.size() == 1) {
    return text + fmt::format("schedule {}, seed {}, {} instructions", name_of(first.schedule), first.seed,
                              first.statistics.instructions);
  }
  return text + fmt::format("schedules {} to {}, seeds {} to {}", name_of(first.schedule),
                            name_of(report.runs.back().schedule), first.seed, report.runs.back().seed);
}

std::string extreme_text(const Extreme& extreme) {
  if (const auto* real = std::get_if<double>(&extreme)) return fmt::format("{:.6g}", *real);
  if (const auto* integer = std::get_if<std::int64_t>(&extreme)) return fmt::to_string(*integer);
  if (const auto* natural = std::get_if<std::uint64_t>(&extreme)) return fmt::to_string(*natural);
  return "-";
}

ordered_json extreme_json(const Extreme& extreme) {
  if (const auto* integer = std::get_if<std::int64_t>(&extreme)) return *integer;
  if (const auto* natural = std::get_if<std::uint64_t>(&extreme)) return *natural;
  const auto* real = std::get_if<double>(&extreme);
  if (real == nullptr) return nullptr;
  // JSON has no number for an infinity.
  if (std::isinf(*real)) return *real > 0 ? "inf" : "-inf";
  return *real;
}

std::string output_text(const EmulatedOutput& output, bool compared) {
  std::string text = fmt::format("{} {} {}", safetensors::printable(output.name), lower(to_string(output.type)),
                                 safetensors::to_string(output.shape));
  if (output.summary) {
    text += fmt::format(", min {}, max {}, {} NaN", extreme_text(output.summary->least),
                        extreme_text(output.summary->most), output.summary->nan_count);
  }
  if (output.first_difference) {
    text += fmt::format("; NOT the same in every run, first at element {}", *output.first_difference);
  } else if (compared) {
    text += "; the same in every run";
  }
  return text;
}

using Count = std::pair<std::string, std::uint64_t>;

std::vector<Count> counts_of(const emulator::Statistics& statistics) {
  return {{"ctas", statistics.ctas},
          {"instructions", statistics.instructions},
          {"global_bytes_read", statistics.global_bytes_read},
          {"global_bytes_written", statistics.global_bytes_written},
          {"shared_bytes_read", statistics.shared_bytes_read},
          {"shared_bytes_written", statistics.shared_bytes_written},
          {"shared_bank_conflicts", statistics.shared_bank_conflicts},
          {"mma_with_copy_in_flight", statistics.mma_with_copy_in_flight},
          {"mma_without_copy_in_flight", statistics.mma_without_copy_in_flight},
          {"barriers", statistics.barriers}};
}

std::string statistics_text(const emulator::Statistics& statistics) {
  std::string text;
  const auto add = [&text](std::string_view label, std::string name, std::uint64_t count) {
    std::replace(name.begin(), name.end(), '_', ' ');
    text += fmt::format("{:<10}{:<28}{:>16}\n", label, name, count);
  };
  for (const auto& [name, count] : counts_of(statistics)) add(text.empty() ? "counts" : "", name, count);
  bool first = true;
  for (const auto& [name, count] : statistics.by_class) {
    add(first ? "classes" : "", name, count);
    first = false;
  }
  return text;
}

ordered_json statistics_json(const emulator::Statistics& statistics) {
  ordered_json json;
  for (const auto& [name, count] : counts_of(statistics)) json[name] = count;
  json["by_class"] = statistics.by_class;
  return json;
}

ordered_json output_json(const EmulatedOutput& output, bool compared) {
  ordered_json json = {{"name", output.name}, {"dtype", lower(to_string(output.type))}, {"shape", output.shape}};
  if (output.summary) {
    json["min"] = extreme_json(output.summary->least);
    json["max"] = extreme_json(output.summary->most);
    json["nan_count"] = output.summary->nan_count;
  }
  if (compared) json["same_in_every_run"] = !output.first_difference;
  if (output.first_difference) json["first_difference"] = *output.first_difference;
  return json;
}

}  // namespace

std::string to_text(const EmulateReport& report) {
  std::string text = fmt::format("kernel    {}\nruns      {}\n", kernel_text(report), runs_text(report));
  if (report.statistics) text += statistics_text(report.runs.front().statistics);
  for (const EmulatedOutput& output : report.outputs) {
    text += fmt::format("output    {}\n", output_text(output, number_of_runs(report) > 1));
  }
  for (const std::string& note : report.notes) text += fmt::format("note      {}\n", note);
  if (!report.output.empty()) text += fmt::format("written   {}\n", report.output);
  return text;
}

std::string to_json(const EmulateReport& report) {
  const emulator::LaunchShape& shape = report.shape;
  ordered_json json = {{"schema", kSchema}, {"command", "emulate"}, {"version", version()}};
  json["kernel"] = report.kernel;
  json["entry"] = report.entry;
  json["launch"] = {{"grid", shape.grid},
                    {"block", shape.block},
                    {"cluster", shape.cluster},
                    {"cooperative", shape.cooperative},
                    {"dynamic_shared_bytes", shape.dynamic_shared_bytes}};
  json["runs"] = ordered_json::array();
  for (const EmulatedRun& run : report.runs) {
    json["runs"].push_back({{"schedule", name_of(run.schedule)},
                            {"seed", run.seed},
                            {"seconds", run.seconds},
                            {"statistics", statistics_json(run.statistics)}});
  }
  if (report.exploration) {
    json["exploration"] = {{"preemptions", report.preemptions},
                           {"runs", report.exploration->runs},
                           {"complete", report.exploration->complete}};
  }
  json["outputs"] = ordered_json::array();
  for (const EmulatedOutput& output : report.outputs) {
    json["outputs"].push_back(output_json(output, number_of_runs(report) > 1));
  }
  json["notes"] = report.notes;
  json["output"] = report.output.empty() ? ordered_json() : ordered_json(report.output);
  // A path that is not UTF-8 is shown with replacement characters.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace flashmask::command
