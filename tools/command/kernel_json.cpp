#include "tools/command/kernel_json.h"

#include <algorithm>

namespace flashmask::command {

std::string json_name(std::string_view name) {
  std::string result(name);
  std::ranges::replace(result, ' ', '_');
  return result;
}

nlohmann::ordered_json json_of(const KernelResources& resources) {
  return {{"registers", resources.registers},
          {"spill_store_bytes", resources.spill_store_bytes},
          {"spill_load_bytes", resources.spill_load_bytes},
          {"static_shared_bytes", resources.static_shared_bytes},
          {"dynamic_shared_bytes", resources.dynamic_shared_bytes},
          {"stack_bytes", resources.stack_bytes}};
}

nlohmann::ordered_json json_of(const TargetLimits& limits) {
  return {{"shared_bytes_per_cta", limits.shared_bytes_per_cta},
          {"shared_bytes_per_multiprocessor", limits.shared_bytes_per_sm},
          {"reserved_shared_bytes_per_cta", limits.reserved_shared_bytes_per_cta},
          {"registers_per_thread", limits.registers_per_thread},
          {"registers_per_cta", limits.registers_per_cta},
          {"registers_per_multiprocessor", limits.registers_per_sm},
          {"warps_per_multiprocessor", limits.warps_per_sm},
          {"ctas_per_multiprocessor", limits.ctas_per_sm}};
}

nlohmann::ordered_json json_of(const ResourceEstimate& estimate) {
  const Occupancy& by = estimate.occupancy;
  return {{"registers_per_thread", estimate.registers_per_thread},
          {"shared_bytes", estimate.shared_bytes},
          {"ctas_per_multiprocessor", estimate.ctas_per_sm},
          {"warps_per_multiprocessor", estimate.ctas_per_sm * estimate.warps_per_cta},
          {"limited_by", json_name(to_string(limit_of(by)))},
          {"ctas_by_limit",
           {{"shared_memory", by.by_shared_memory},
            {"registers", by.by_registers},
            {"warps", by.by_warps},
            {"ctas", by.by_ctas}}}};
}

nlohmann::ordered_json json_of(const TileConfig& config) {
  return {{"tile_q", config.tile_q},
          {"tile_k", config.tile_k},
          {"warps", config.warps},
          {"stages", config.stages},
          {"query_in_registers", config.query_in_registers},
          {"column_warps", config.column_warps},
          {"overlap", config.overlap},
          {"turns", config.turns},
          {"query_slots", config.query_slots}};
}

nlohmann::ordered_json json_of(const KernelDescriptor& descriptor) {
  return {{"pass", to_string(descriptor.pass)},      {"dtype", to_string(descriptor.dtype)},
          {"head_dim_qk", descriptor.head_dim_qk},   {"head_dim_v", descriptor.head_dim_v},
          {"form", to_string(descriptor.mask_form)}, {"causal_alignment", to_string(descriptor.causal_alignment)},
          {"target", to_string(descriptor.target)},  {"deterministic", descriptor.deterministic}};
}

}  // namespace flashmask::command
