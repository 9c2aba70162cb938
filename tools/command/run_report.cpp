#include "tools/command/run_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

using nlohmann::ordered_json;

/// The share of the matrix instructions during which a copy of the next tiles was in flight.
double overlapped_share(const LaunchStatistics& statistics) {
  const std::uint64_t all = statistics.matrix_with_copy_in_flight + statistics.matrix_without_copy_in_flight;
  return all == 0 ? 0 : static_cast<double>(statistics.matrix_with_copy_in_flight) / static_cast<double>(all);
}

std::string device_text(const DeviceProperties& device) {
  std::string text = fmt::format("{}, {}", device.name, to_string(device.target));
  if (!device.driver.empty()) text += ", driver " + device.driver;
  return text;
}

std::string problem_text(const reference::ForwardProblem& problem) {
  std::string text = fmt::format("batch {}, {} queries x {} keys, {} heads ({} of keys", problem.batch,
                                 problem.seqlen_q, problem.seqlen_k, problem.num_heads_q, problem.num_heads_kv);
  if (vectors_per_column(problem.mask_form) > 0) text += fmt::format(", {} of the mask", problem.num_heads_mask);
  text += ")";
  if (problem.mask_form == MaskForm::kWindow) {
    text += fmt::format(", window {},{}", problem.window_left, problem.window_right);
  }
  return text + fmt::format(", scale {:.6g}", problem.softmax_scale);
}

std::string origin_text(const KernelReport& kernel) {
  switch (kernel.origin) {
    case KernelOrigin::kCompiled:
      return fmt::format("compiled in {:.3f} s{}", kernel.compile_seconds,
                         kernel.is_stored ? ", stored in the cache" : ", not stored in the cache");
    case KernelOrigin::kDisk:
      return fmt::format("disk: found in the cache in {:.3f} ms, nothing compiled", kernel.lookup_seconds * 1e3);
    case KernelOrigin::kPack:
      return fmt::format("pack: found in {:.3f} ms, nothing compiled", kernel.lookup_seconds * 1e3);
    case KernelOrigin::kMemory:
      return "memory: nothing compiled";
  }
  return std::string(to_string(kernel.origin));
}

std::string kernel_text(const KernelReport& kernel) {
  const KernelResources& resources = kernel.resources;
  std::string text = fmt::format("kernel    {}, tiles {}\n", to_string(kernel.descriptor), to_string(kernel.config));
  text +=
      fmt::format("          {} registers, {} bytes spilled, {} bytes of shared memory{}\n", resources.registers,
                  resources.spill_store_bytes + resources.spill_load_bytes,
                  resources.static_shared_bytes + resources.dynamic_shared_bytes,
                  kernel.workspace_bytes > 0 ? fmt::format(", a workspace of {} bytes", kernel.workspace_bytes) : "");
  return text + fmt::format("origin    {}\n", origin_text(kernel));
}

std::string launch_text(const KernelReport& kernel) {
  std::string text;
  if (kernel.plan) {
    const PlanCounts& plan = *kernel.plan;
    text +=
        fmt::format("tiles     {} of {} visited ({:.1f} %): {} full, {} partial; {} empty\n", plan.full + plan.partial,
                    plan.all(), 100 * plan.density(), plan.full, plan.partial, plan.empty);
  }
  if (kernel.statistics) {
    const LaunchStatistics& statistics = *kernel.statistics;
    return text + fmt::format(
                      "emulated  {} instructions ({} of matrices) in {:.2f} s, {} bank conflicts, a copy in flight at "
                      "{:.1f} % of the multiplies\n",
                      statistics.instructions, statistics.matrix_instructions, kernel.launch_seconds,
                      statistics.shared_bank_conflicts, 100 * overlapped_share(statistics));
  }
  return text + fmt::format("launch    {:.3f} ms\n", kernel.launch_seconds * 1e3);
}

std::string verification_text(const reference::Comparison& comparison) {
  std::string text =
      fmt::format("{}: max |out - ref| {:.3g} (allowed {:.3g}), max LSE error {:.3g} (allowed {:.3g}), {} NaN",
                  comparison.passed ? "passed" : "FAILED", comparison.max_output_error, comparison.output_bound,
                  comparison.max_lse_error, comparison.lse_bound, comparison.nan_count);
  if (comparison.dead_rows > 0) {
    text +=
        fmt::format(", {} rows that see no key, {} of them wrong", comparison.dead_rows, comparison.dead_rows_wrong);
  }
  return text;
}

std::string verification_text(const char* name, const char* zero_rows, const reference::GradientError& error) {
  std::string text =
      fmt::format("verify    {}: max |{} - ref| {:.3g} (allowed {:.3g}), {} NaN", error.passed ? "passed" : "FAILED",
                  name, error.max_error, error.bound, error.nan_count);
  if (error.zero_rows > 0)
    text += fmt::format(", {} {}, {} of them wrong", error.zero_rows, zero_rows, error.zero_rows_wrong);
  return text + "\n";
}

std::string verification_text(const reference::GradientComparison& comparison) {
  constexpr const char* kUnseenKeys = "keys that no row sees";
  return verification_text("dq", "rows that see no key", comparison.query) +
         verification_text("dk", kUnseenKeys, comparison.key) + verification_text("dv", kUnseenKeys, comparison.value);
}

ordered_json problem_json(const reference::ForwardProblem& problem) {
  ordered_json json = {{"batch", problem.batch},
                       {"seqlen_q", problem.seqlen_q},
                       {"seqlen_k", problem.seqlen_k},
                       {"num_heads_q", problem.num_heads_q},
                       {"num_heads_kv", problem.num_heads_kv},
                       {"num_heads_mask", problem.num_heads_mask},
                       {"softmax_scale", problem.softmax_scale}};
  if (problem.mask_form == MaskForm::kWindow) json["window"] = {problem.window_left, problem.window_right};
  return json;
}

ordered_json counters_json(const RuntimeCounters& counters) {
  return {{"requests", counters.requests},
          {"memory_hits", counters.memory_hits},
          {"disk_hits", counters.disk_hits},
          {"pack_hits", counters.pack_hits},
          {"compiles", counters.compiles},
          {"stores", counters.stores},
          {"failed_stores", counters.failed_stores},
          {"generate_seconds", counters.generate_seconds},
          {"lookup_seconds", counters.lookup_seconds},
          {"compile_seconds", counters.compile_seconds},
          {"load_seconds", counters.load_seconds}};
}

ordered_json statistics_json(const LaunchStatistics& statistics) {
  return {{"instructions", statistics.instructions},
          {"matrix_instructions", statistics.matrix_instructions},
          {"shared_bank_conflicts", statistics.shared_bank_conflicts},
          {"global_bytes_read", statistics.global_bytes_read},
          {"global_bytes_written", statistics.global_bytes_written},
          {"matrix_with_copy_in_flight", statistics.matrix_with_copy_in_flight},
          {"matrix_without_copy_in_flight", statistics.matrix_without_copy_in_flight}};
}

ordered_json verification_json(const reference::Comparison& comparison) {
  return {{"passed", comparison.passed},
          {"max_output_error", comparison.max_output_error},
          {"naive_output_error", comparison.naive_output_error},
          {"output_bound", comparison.output_bound},
          {"max_lse_error", comparison.max_lse_error},
          {"lse_bound", comparison.lse_bound},
          {"nan_count", comparison.nan_count},
          {"dead_rows", comparison.dead_rows},
          {"dead_rows_wrong", comparison.dead_rows_wrong}};
}

ordered_json verification_json(const reference::GradientError& error) {
  return {{"passed", error.passed},
          {"max_error", error.max_error},
          {"naive_error", error.naive_error},
          {"bound", error.bound},
          {"nan_count", error.nan_count},
          {"zero_rows", error.zero_rows},
          {"zero_rows_wrong", error.zero_rows_wrong}};
}

ordered_json verification_json(const reference::GradientComparison& comparison) {
  return {{"passed", comparison.passed},
          {"dq", verification_json(comparison.query)},
          {"dk", verification_json(comparison.key)},
          {"dv", verification_json(comparison.value)}};
}

ordered_json kernel_json(const KernelReport& kernel) {
  return {{"descriptor", json_of(kernel.descriptor)},
          {"config", json_of(kernel.config)},
          {"resources", json_of(kernel.resources)},
          {"digest", kernel.digest},
          {"origin", to_string(kernel.origin)}};
}

void add_launch(ordered_json& json, const KernelReport& kernel) {
  if (kernel.plan)
    json["tiles"] = {{"full", kernel.plan->full}, {"partial", kernel.plan->partial}, {"empty", kernel.plan->empty}};
  json["workspace_bytes"] = kernel.workspace_bytes;
  json["launch_seconds"] = kernel.launch_seconds;
  if (kernel.statistics) json["emulation"] = statistics_json(*kernel.statistics);
}

}  // namespace

std::string to_text(const RunReport& report) {
  const RuntimeCounters& counters = report.counters;
  std::string text = fmt::format("device    {}\n", device_text(report.device));
  text += fmt::format("problem   {}\n", problem_text(report.problem));
  text += kernel_text(report.forward);
  text += fmt::format("counters  requests {}, compiles {}, hits in memory {}, on disk {}{}\n", counters.requests,
                      counters.compiles, counters.memory_hits, counters.disk_hits,
                      counters.pack_hits > 0 ? fmt::format(", in packs {}", counters.pack_hits) : "");
  text += launch_text(report.forward);
  if (report.backward) text += kernel_text(*report.backward) + launch_text(*report.backward);
  if (report.verification) text += fmt::format("verify    {}\n", verification_text(*report.verification));
  if (report.gradient_verification) text += verification_text(*report.gradient_verification);
  text += fmt::format("output    {}\n", report.output);
  return text;
}

std::string to_json(const RunReport& report) {
  ordered_json json = {{"schema", kSchema}, {"command", "run"}, {"version", version()}};
  json["device"] = {{"kind", report.device.kind == DeviceKind::kCuda ? "cuda" : "emulator"},
                    {"name", report.device.name},
                    {"target", to_string(report.device.target)},
                    {"driver", report.device.driver}};
  json["problem"] = problem_json(report.problem);
  json["kernel"] = kernel_json(report.forward);
  json["compiled"] = report.forward.origin == KernelOrigin::kCompiled;
  json["counters"] = counters_json(report.counters);
  json["skips_empty_tiles"] = report.skips;
  add_launch(json, report.forward);
  if (report.verification) json["verification"] = verification_json(*report.verification);
  if (report.backward) {
    ordered_json& backward = json["backward"] = {{"kernel", kernel_json(*report.backward)},
                                                 {"compiled", report.backward->origin == KernelOrigin::kCompiled}};
    add_launch(backward, *report.backward);
    if (report.gradient_verification) backward["verification"] = verification_json(*report.gradient_verification);
  }
  json["output"] = report.output;
  // A path or driver string that is not UTF-8 is shown with replacement characters.
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace flashmask::command
