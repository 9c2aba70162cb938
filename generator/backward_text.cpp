#include <fmt/format.h>

#include <algorithm>

#include "generator/backward_layout.h"
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
  return backward_accumulator_registers(descriptor, config) >= kMany;
}

std::string config_text(const KernelDescriptor& descriptor, const TileConfig& config, int shared_bytes) {
  return attention_config_begin(descriptor, config) +
         fmt::format(
             "inline constexpr int kColumnWarps = {};\n"
             "inline constexpr int kPassRows = {};\n"
             "inline constexpr bool kRegistersAreShort = {};\n"
             "inline constexpr bool kDeterministic = {};\n"
             "inline constexpr int kTurns = 1;\n"
             "inline constexpr bool kTermsApart = false;\n"
             "inline constexpr bool kTakesTickets = {};\n"
             "inline constexpr bool kHasVectorReductions = {};\n"
             "inline constexpr int kSharedBytes = {};\n"
             "inline constexpr int kPrepareThreads = {};\n"
             "inline constexpr int kFinishThreads = {};\n"
             "}}  // namespace flashmask::config\n\n",
             config.column_warps, backward_pass_rows(descriptor, config), registers_are_short(descriptor, config),
             descriptor.deterministic, descriptor.deterministic, has_vector_reductions(descriptor.target), shared_bytes,
             kBackwardPrepareThreads, kBackwardFinishThreads);
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
  const auto entry = [&](std::size_t number, std::string_view function, int threads_of_cta, int ctas_per_sm) {
    return entry_text(text.entries[number], "BackwardArguments", function,
                      fmt::format("{}, {}", threads_of_cta, ctas_per_sm));
  };
  // The kernels around the main one are bound by memory: as many threads as an SM has room for.
  constexpr int kThreadsPerSm = 1024;
  text.tail = entry(0, "prepare_backward", kBackwardPrepareThreads, kThreadsPerSm / kBackwardPrepareThreads) +
              entry(1, "backward_attention", threads, std::clamp(resources.ctas_per_sm, 1, 2)) +
              entry(2, "finish_backward", kBackwardFinishThreads, kThreadsPerSm / kBackwardFinishThreads);
  text.threads = threads;
  text.shared_bytes = resources.shared_bytes;
  return text;
}

}  // namespace flashmask::generator
