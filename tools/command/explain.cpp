#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"
#include "tools/command/tile_choice.h"

namespace flashmask::command {
namespace {

constexpr std::string_view kNoOrigin = "none";

/// "disk", "pack", "memory", "compiled", or "none" where a request would fail.
std::string_view origin_name(const Explanation& told) {
  const bool is_served = told.origin != KernelOrigin::kCompiled || told.may_compile;
  return is_served ? to_string(told.origin) : kNoOrigin;
}

std::string limits_text(const TargetLimits& limits) {
  return fmt::format(
      "a CTA may take {} bytes of shared memory, {} registers, {} per thread\n"
      "            an SM has {} bytes, of which {} are reserved per CTA; {} registers, {} warps, {} CTAs\n",
      limits.shared_bytes_per_cta, limits.registers_per_cta, limits.registers_per_thread, limits.shared_bytes_per_sm,
      limits.reserved_shared_bytes_per_cta, limits.registers_per_sm, limits.warps_per_sm, limits.ctas_per_sm);
}

std::string occupancy_text(const ResourceEstimate& estimate) {
  const Occupancy& by = estimate.occupancy;
  return fmt::format(
      "{} {} and {} warps per SM, limited by {}\n"
      "            by shared memory {}, by registers {}, by warps {}, by CTAs {}\n",
      estimate.ctas_per_sm, estimate.ctas_per_sm == 1 ? "CTA" : "CTAs", estimate.ctas_per_sm * estimate.warps_per_cta,
      to_string(limit_of(by)), by.by_shared_memory, by.by_registers, by.by_warps, by.by_ctas);
}

std::string candidates_text(const Explanation& told) {
  const bool is_default = told.config == told.default_tile.config;
  std::size_t width = 0;
  for (const TileCandidate& candidate : told.default_tile.candidates)
    width = std::max(width, to_string(candidate.config).size());
  std::string text;
  for (const TileCandidate& candidate : told.default_tile.candidates) {
    const bool is_chosen = candidate.verdict == TileVerdict::kChosen;
    const std::string_view verdict = is_chosen && !is_default ? "default" : to_string(candidate.verdict);
    text += fmt::format("{:<12}{:<{}}  {}{}{}\n", text.empty() ? "candidates" : "", to_string(candidate.config), width,
                        verdict, candidate.reasons.empty() ? "" : ": ", fmt::join(candidate.reasons, "; "));
  }
  return text;
}

std::string origin_text(const Explanation& told) {
  switch (told.origin) {
    case KernelOrigin::kMemory:
      return "memory";
    case KernelOrigin::kDisk:
      return fmt::format("disk, compiled by {}\n            {}", told.toolchain, told.cache_file);
    case KernelOrigin::kPack:
      return fmt::format("pack, compiled by {}\n            {}", told.toolchain, told.cache_pack);
    case KernelOrigin::kCompiled:
      break;
  }
  if (told.may_compile) return "compiled by the next request";
  return "none: a request fails, as compiling is forbidden (FLASHMASK_NO_JIT)";
}

/// The kernel that is there instead, and in what it differs.
std::string nearest_text(const NearestEntry& nearest) {
  std::string text = fmt::format("nearest     {}, compiled by {}\n", nearest.digest, nearest.toolchain);
  for (const FieldDifference& field : nearest.differences)
    text += fmt::format("            {} = {}, not {}\n", field.field, field.found, field.wanted);
  return text;
}

nlohmann::ordered_json nearest_json(const std::optional<NearestEntry>& nearest) {
  if (!nearest) return nullptr;
  nlohmann::ordered_json differences = nlohmann::ordered_json::array();
  for (const FieldDifference& field : nearest->differences)
    differences.push_back({{"field", json_name(field.field)}, {"wanted", field.wanted}, {"found", field.found}});
  return {{"digest", nearest->digest}, {"toolchain", nearest->toolchain}, {"differences", differences}};
}

std::string report_text(const Explanation& told) {
  std::string text = fmt::format("kernel      {}\n", to_string(told.descriptor));
  text += fmt::format("family      {} ({})\n", told.family, told.family_targets);
  if (!told.family_note.empty()) text += fmt::format("            {}\n", told.family_note);
  text += fmt::format("target      {}: {}", to_string(told.descriptor.target), limits_text(told.limits));
  text += fmt::format("tiles       {}: {}\n", to_string(told.config), told.config_reason);
  text += fmt::format("chosen by   {}\n", to_string(told.config_source));
  for (const std::string& reason : told.tuning_passed_over) text += fmt::format("not taken   {}\n", reason);
  text += fmt::format("needs       {} registers per thread, {} bytes of shared memory, by the model\n",
                      told.resources.registers_per_thread, told.resources.shared_bytes);
  text += fmt::format("occupancy   {}", occupancy_text(told.resources));
  text += candidates_text(told);
  text += fmt::format("entry       {}\ndigest      {}\n", told.entry, told.digest);
  text += fmt::format("cache       {}\n", told.cache_directory.empty() ? "none" : told.cache_directory);
  if (!told.cache_miss.empty()) text += fmt::format("            {}\n", told.cache_miss);
  if (told.nearest) text += nearest_text(*told.nearest);
  return text + fmt::format("origin      {}\n", origin_text(told));
}

std::string report_json(const Explanation& told) {
  nlohmann::ordered_json json = {
      {"schema", kSchema},
      {"command", "explain"},
      {"version", version()},
      {"descriptor", json_of(told.descriptor)},
      {"family", {{"name", told.family}, {"targets", told.family_targets}, {"note", told.family_note}}},
      {"limits", json_of(told.limits)},
      {"config", json_of(told.config)},
      {"config_source", json_name(to_string(told.config_source))},
      {"reason", told.config_reason},
      {"tuning_passed_over", told.tuning_passed_over},
      {"estimate", json_of(told.resources)}};
  json["default_config"] = json_of(told.default_tile.config);
  json["candidates"] = nlohmann::ordered_json::array();
  for (const TileCandidate& candidate : told.default_tile.candidates) {
    json["candidates"].push_back({{"config", json_of(candidate.config)},
                                  {"verdict", json_name(to_string(candidate.verdict))},
                                  {"reasons", candidate.reasons},
                                  {"estimate", json_of(candidate.resources)}});
  }
  json["entry"] = told.entry;
  json["digest"] = told.digest;
  json["origin"] = origin_name(told);
  json["cache"] = {{"directory", told.cache_directory}, {"on_disk", !told.cache_file.empty()},
                   {"pack", told.cache_pack},           {"file", told.cache_file},
                   {"toolchain", told.toolchain},       {"miss", told.cache_miss}};
  json["nearest"] = nearest_json(told.nearest);
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

/// The device whose tuned answers a request would look up; none where there is no GPU.
std::shared_ptr<Device> asked_device(const ExplainArguments& arguments) {
  if (arguments.device == DeviceChoice::kEmulator) return open_emulated_device({.target = arguments.descriptor.target});
  try {
    return open_cuda_device();
  } catch (const Error&) {
    if (arguments.device == DeviceChoice::kCuda) throw;
    return nullptr;
  }
}

}  // namespace

ExitCode explain(const ExplainArguments& arguments) {
  require_supported(arguments.descriptor);
  RequestOptions options;
  options.hint = arguments.hint;
  options.config = choose_tile(arguments.descriptor, arguments.tile);
  const Explanation told = Runtime(asked_device(arguments)).explain(arguments.descriptor, options);
  print_result(arguments.json ? report_json(told) : report_text(told));
  return kExitOk;
}

}  // namespace flashmask::command
