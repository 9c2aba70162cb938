#include <fmt/format.h>

#include <algorithm>

#include "generator/forward_layout.h"
#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

/// The templates of a forward kernel, each after those that it uses.
std::vector<std::string_view> forward_templates(const KernelDescriptor& descriptor) {
  return {"mask_plan_types.cuh",
          "row_strides.cuh",
          "head_rows.cuh",
          "forward_arguments.cuh",
          "primitives/math.cuh",
          "primitives/mma.cuh",
          "primitives/shared_memory.cuh",
          "primitives/global_memory.cuh",
          "primitives/async_copy.cuh",
          "primitives/thread.cuh",
          "shared_tile.cuh",
          "accumulator_tile.cuh",
          "online_softmax.cuh",
          "mask/key_range.cuh",
          row_mask_template(descriptor.mask_form),
          column_mask_template(descriptor.mask_form),
          "walk/visited_tile.cuh",
          "walk/tile_walk.cuh",
          "work_order.cuh",
          "forward_sm80.cuh"};
}

/// Whether the accumulators of a thread leave so little that ptxas spills what it could keep from tile to tile.
bool registers_are_short(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kMany = 160;  // of 255
  const int columns = config.tile_k + padded_head_dim(descriptor.head_dim_v);
  return config.tile_q * columns / (config.warps * 32) > kMany;
}

std::string config_text(const KernelDescriptor& descriptor, const TileConfig& config, int shared_bytes) {
  return attention_config_begin(descriptor, config) + fmt::format(
                                                          "inline constexpr bool kQueryInRegisters = {};\n"
                                                          "inline constexpr bool kRegistersAreShort = {};\n"
                                                          "inline constexpr int kSharedBytes = {};\n"
                                                          "}}  // namespace flashmask::config\n\n",
                                                          config.query_in_registers,
                                                          registers_are_short(descriptor, config), shared_bytes);
}

}  // namespace

KernelText forward_text(const KernelDescriptor& descriptor, const TileConfig& config) {
  const ResourceEstimate resources = estimate_resources(descriptor, config);
  const int threads = config.warps * 32;
  const std::string entry = attention_entry_name(descriptor, config);
  return {.entries = {entry},
          .head = config_text(descriptor, config, resources.shared_bytes),
          .templates = forward_templates(descriptor),
          // Asking ptxas for three CTAs caps the registers below what small head dims need, and it spills; two cost
          // nothing.
          .tail = entry_text(entry, "ForwardArguments", "forward_attention",
                             fmt::format("{}, {}", threads, std::clamp(resources.ctas_per_sm, 1, 2))),
          .threads = threads,
          .shared_bytes = resources.shared_bytes};
}

}  // namespace flashmask::generator
