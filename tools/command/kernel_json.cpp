#include "tools/command/kernel_json.h"

#include <string>

namespace flashmask::command {

nlohmann::ordered_json json_of(const KernelResources& resources) {
  return {{"registers", resources.registers},
          {"spill_store_bytes", resources.spill_store_bytes},
          {"spill_load_bytes", resources.spill_load_bytes},
          {"static_shared_bytes", resources.static_shared_bytes},
          {"dynamic_shared_bytes", resources.dynamic_shared_bytes},
          {"stack_bytes", resources.stack_bytes}};
}

nlohmann::ordered_json json_of(const TileConfig& config) {
  return {{"tile_q", config.tile_q},
          {"tile_k", config.tile_k},
          {"warps", config.warps},
          {"stages", config.stages},
          {"query_in_registers", config.query_in_registers}};
}

nlohmann::ordered_json json_of(const KernelDescriptor& descriptor) {
  return {{"pass", to_string(descriptor.pass)},      {"dtype", to_string(descriptor.dtype)},
          {"head_dim_qk", descriptor.head_dim_qk},   {"head_dim_v", descriptor.head_dim_v},
          {"form", to_string(descriptor.mask_form)}, {"causal_alignment", to_string(descriptor.causal_alignment)},
          {"target", to_string(descriptor.target)}};
}

}  // namespace flashmask::command
