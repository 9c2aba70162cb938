#include <fmt/format.h>

#include <algorithm>

#include "generator/backward_layout.h"
#include "generator/forward_layout.h"
#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

std::vector<std::string_view> backward_templates(const KernelDescriptor& descriptor) {
  return {"mask_plan_types.cuh",
          "row_strides.cuh",
          "head_rows.cuh",
          "backward_arguments.cuh",
          "primitives/bits.cuh",
          "primitives/math.cuh",
          "primitives/mma.cuh",
          "primitives/shared_memory.cuh",
          "primitives/global_memory.cuh",
          "primitives/async_copy.cuh",
          "primitives/thread.cuh",
          "accumulator_tile.cuh",
          "block_sums.cuh",
          "shared_tile.cuh",
          "mask/key_range.cuh",
          row_mask_template(descriptor.mask_form),
          column_mask_template(descriptor.mask_form),
          "mask/visible_rows.cuh",
          "walk/row_tile_walk.cuh",
          "work_order.cuh",
          "backward_prepare.cuh",
          "backward_sm80.cuh",
          "backward_finish.cuh"};
}

/// Whether the accumulators of a thread leave so little that ptxas spills what it could keep from tile to tile.
bool registers_are_short(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kMany = 160;  // of 255
  const int scores = config.tile_k * config.column_warps / config.warps * backward_pass_rows(descriptor, config) / 32;
  return backward_gradient_registers(descriptor, config) + 2 * scores >= kMany;
}

std::string config_text(const KernelDescriptor& descriptor, const TileConfig& config, int shared_bytes) {
  return fmt::format(
      "// {} | {}\n"
      "namespace flashmask::config {{\n"
      "inline constexpr bool kIsBfloat16 = {};\n"
      "inline constexpr int kHeadDimQk = {};\n"
      "inline constexpr int kHeadDimV = {};\n"
      "inline constexpr int kPaddedHeadDimQk = {};\n"
      "inline constexpr int kPaddedHeadDimV = {};\n"
      "inline constexpr int kTileQ = {};\n"
      "inline constexpr int kTileK = {};\n"
      "inline constexpr int kWarps = {};\n"
      "inline constexpr int kThreads = {};\n"
      "inline constexpr int kStages = {};\n"
      "inline constexpr int kColumnWarps = {};\n"
      "inline constexpr int kPassRows = {};\n"
      "inline constexpr bool kRegistersAreShort = {};\n"
      "inline constexpr bool kDeterministic = {};\n"
      "inline constexpr bool kHasVectorReductions = {};\n"
      "inline constexpr int kSharedBytes = {};\n"
      "inline constexpr int kPrepareThreads = {};\n"
      "inline constexpr int kFinishThreads = {};\n"
      "}}  // namespace flashmask::config\n\n",
      to_string(descriptor), to_string(config), descriptor.dtype == DataType::kBfloat16, descriptor.head_dim_qk,
      descriptor.head_dim_v, padded_head_dim(descriptor.head_dim_qk), padded_head_dim(descriptor.head_dim_v),
      config.tile_q, config.tile_k, config.warps, config.warps * 32, config.stages, config.column_warps,
      backward_pass_rows(descriptor, config), registers_are_short(descriptor, config), descriptor.deterministic,
      has_vector_reductions(descriptor.target), shared_bytes, kBackwardPrepareThreads, kBackwardFinishThreads);
}

std::string entry_text(std::string_view entry, std::string_view function, int threads, int ctas_per_sm) {
  return fmt::format(
      "\nextern \"C\" __global__ void __launch_bounds__({}, {})\n"
      "{}(const __grid_constant__ flashmask::BackwardArguments arguments) {{\n"
      "  flashmask::{}(arguments);\n"
      "}}\n",
      threads, ctas_per_sm, entry, function);
}

}  // namespace

KernelText backward_text(const KernelDescriptor& descriptor, const TileConfig& config) {
  const ResourceEstimate resources = estimate_resources(descriptor, config);
  const int threads = config.warps * 32;
  const std::string name = attention_entry_name(descriptor, config);
  KernelText text;
  text.entries = {name + "_prepare", name, name + "_finish"};
  text.main_entry = 1;
  text.head = config_text(descriptor, config, resources.shared_bytes);
  text.templates = backward_templates(descriptor);
  // The kernels around the main one are bound by memory: as many threads as an SM has room for.
  constexpr int kThreadsPerSm = 1024;
  text.tail =
      entry_text(text.entries[0], "prepare_backward", kBackwardPrepareThreads,
                 kThreadsPerSm / kBackwardPrepareThreads) +
      entry_text(text.entries[1], "backward_attention", threads, std::clamp(resources.ctas_per_sm, 1, 2)) +
      entry_text(text.entries[2], "finish_backward", kBackwardFinishThreads, kThreadsPerSm / kBackwardFinishThreads);
  text.threads = threads;
  text.shared_bytes = resources.shared_bytes;
  return text;
}

}  // namespace flashmask::generator
