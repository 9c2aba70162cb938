#include <fmt/format.h>

#include <algorithm>

#include "generator/backward_layout.h"
#include "generator/forward_layout.h"
#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

std::vector<std::string_view> backward_sm90_templates(const KernelDescriptor& descriptor) {
  return {"mask_plan_types.cuh",
          "row_strides.cuh",
          "head_rows.cuh",
          "backward_arguments.cuh",
          "tensor_map.cuh",
          "backward_sm90_arguments.cuh",
          "primitives/bits.cuh",
          "primitives/math.cuh",
          "primitives/mma.cuh",
          "primitives/shared_memory.cuh",
          "primitives/global_memory.cuh",
          "primitives/mbarrier.cuh",
          "primitives/tensor_copy.cuh",
          "primitives/register_budget.cuh",
          "primitives/thread.cuh",
          "accumulator_tile.cuh",
          "primitives/wgmma.cuh",
          "block_sums.cuh",
          "panel_tile.cuh",
          "slot_ring.cuh",
          "mask/key_range.cuh",
          row_mask_template(descriptor.mask_form),
          column_mask_template(descriptor.mask_form),
          "mask/visible_rows.cuh",
          "walk/row_tiles.cuh",
          "work_order.cuh",
          "backward_prepare.cuh",
          "backward_sm90.cuh",
          "backward_finish.cuh"};
}

/// As SharedColumns of the template: what each of two warpgroups multiplies of so many columns.
int shared_width(int columns) {
  const int panel = columns % 64 == 0 ? 64 : columns % 32 == 0 ? 32 : 16;
  const int own = (columns / 16 + 1) / 2 * 16;
  return panel % own == 0 ? own : (own + panel - 1) / panel * panel;
}

/// The widths of all products.
std::set<int> product_widths(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int columns_qk = padded_head_dim(descriptor.head_dim_qk);
  const int columns_v = padded_head_dim(descriptor.head_dim_v);
  const bool shares_keys = config.column_warps > 1;
  return {config.tile_q / config.column_warps, config.tile_q == 64 ? shared_width(columns_qk) : columns_qk,
          shares_keys ? shared_width(columns_qk) : columns_qk, shares_keys ? shared_width(columns_v) : columns_v};
}

std::string config_text(const KernelDescriptor& descriptor, const TileConfig& config, int shared_bytes) {
  const RegisterShares registers = register_shares(descriptor, config);
  return attention_config_begin(descriptor, config) +
         fmt::format(
             "inline constexpr int kColumnWarps = {};\n"
             "inline constexpr bool kDeterministic = {};\n"
             "inline constexpr int kTurns = {};\n"
             "inline constexpr bool kTakesTickets = true;\n"
             "inline constexpr bool kTermsApart = {};\n"
             "inline constexpr bool kHasVectorReductions = true;\n"
             "inline constexpr bool kStagesSums = {};\n"
             "inline constexpr int kProducerRegisters = {};\n"
             "inline constexpr int kConsumerRegisters = {};\n"
             "inline constexpr int kSharedBytes = {};\n"
             "inline constexpr int kPrepareThreads = {};\n"
             "inline constexpr int kFinishThreads = {};\n"
             "}}  // namespace flashmask::config\n\n",
             config.column_warps, descriptor.deterministic, turns_of_row_tile(descriptor, config),
             // Half the traffic; but with 128 rows ptxas then wants a few registers more than there are.
             config.tile_q == 64, stages_query_sums(descriptor, config), registers.producer, registers.consumer,
             shared_bytes, kBackwardPrepareThreads, kBackwardFinishThreads) +
         warpgroup_product_text(descriptor.dtype, product_widths(descriptor, config));
}

}  // namespace

KernelText backward_sm90_text(const KernelDescriptor& descriptor, const TileConfig& config) {
  const ResourceEstimate resources = estimate_resources(descriptor, config);
  constexpr int kProducerWarps = 4;
  const int threads = (config.warps + kProducerWarps) * 32;
  const std::string name = attention_entry_name(descriptor, config);
  KernelText text;
  text.entries = {name + "_prepare", name, name + "_finish"};
  text.main_entry = 1;
  text.head = config_text(descriptor, config, resources.shared_bytes);
  text.templates = backward_sm90_templates(descriptor);
  // The kernels around the main one are bound by memory: as many threads as an SM has room for.
  constexpr int kThreadsPerSm = 1024;
  text.tail =
      entry_text(text.entries[0], "BackwardArguments", "prepare_backward",
                 fmt::format("{}, {}", kBackwardPrepareThreads, kThreadsPerSm / kBackwardPrepareThreads)) +
      // Without the 1, ptxas ignores what the warpgroups say of their registers.
      entry_text(text.entries[1], "BackwardSm90Arguments", "backward_attention_sm90", fmt::format("{}, 1", threads)) +
      entry_text(text.entries[2], "BackwardArguments", "finish_backward",
                 fmt::format("{}, {}", kBackwardFinishThreads, kThreadsPerSm / kBackwardFinishThreads));
  text.threads = threads;
  text.shared_bytes = resources.shared_bytes;
  return text;
}

}  // namespace flashmask::generator
