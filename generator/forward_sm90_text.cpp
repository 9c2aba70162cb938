#include <fmt/format.h>

#include "generator/forward_layout.h"
#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

std::vector<std::string_view> forward_sm90_templates(const KernelDescriptor& descriptor) {
  return {"mask_plan_types.cuh",
          "row_strides.cuh",
          "forward_arguments.cuh",
          "tensor_map.cuh",
          "forward_sm90_arguments.cuh",
          "primitives/bits.cuh",
          "primitives/math.cuh",
          "primitives/mma.cuh",
          "primitives/half_pairs.cuh",
          "primitives/shared_memory.cuh",
          "primitives/global_memory.cuh",
          "primitives/mbarrier.cuh",
          "primitives/tensor_copy.cuh",
          "primitives/register_budget.cuh",
          "primitives/thread.cuh",
          "accumulator_tile.cuh",
          "primitives/wgmma.cuh",
          "online_softmax.cuh",
          "panel_tile.cuh",
          "slot_ring.cuh",
          "mask/key_range.cuh",
          row_mask_template(descriptor.mask_form),
          column_mask_template(descriptor.mask_form),
          "mask/visible_keys.cuh",
          "mask/tile_intervals.cuh",
          "walk/key_tiles.cuh",
          "work_order.cuh",
          "forward_sm90.cuh"};
}

std::string config_text(const KernelDescriptor& descriptor, const TileConfig& config, int shared_bytes) {
  const RegisterShares registers = register_shares(descriptor, config);
  return attention_config_begin(descriptor, config) +
         fmt::format(
             "inline constexpr bool kOverlaps = {};\n"
             "inline constexpr bool kTakesTurns = {};\n"
             "inline constexpr int kQuerySlots = {};\n"
             "inline constexpr int kProducerRegisters = {};\n"
             "inline constexpr int kConsumerRegisters = {};\n"
             "inline constexpr int kSharedBytes = {};\n"
             "}}  // namespace flashmask::config\n\n",
             config.overlap, config.turns, config.query_slots, registers.producer, registers.consumer, shared_bytes) +
         warpgroup_product_text(descriptor.dtype, {config.tile_k, padded_head_dim(descriptor.head_dim_v)});
}

}  // namespace

KernelText forward_sm90_text(const KernelDescriptor& descriptor, const TileConfig& config) {
  const ResourceEstimate resources = estimate_resources(descriptor, config);
  constexpr int kProducerWarps = 4;
  const int threads = (config.warps + kProducerWarps) * 32;
  const std::string entry = attention_entry_name(descriptor, config);
  return {.entries = {entry},
          .head = config_text(descriptor, config, resources.shared_bytes),
          .templates = forward_sm90_templates(descriptor),
          // Without the 1, ptxas ignores what the warpgroups say of their registers.
          .tail = entry_text(entry, "ForwardSm90Arguments", "forward_attention_sm90", fmt::format("{}, 1", threads)),
          .threads = threads,
          .shared_bytes = resources.shared_bytes};
}

}  // namespace flashmask::generator
