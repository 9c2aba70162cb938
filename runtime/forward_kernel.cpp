#include "runtime/forward_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <numbers>
#include <type_traits>
#include <utility>

#include "runtime/dispatched_launch.h"
#include "runtime/plan/layout.h"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<ForwardArguments>, "the device reads the bytes of the struct");

/// How many query heads, over all batch entries, make a section: whole groups that share a key head, at least one.
int section_heads(const KernelDescriptor& descriptor, const ForwardLaunch& launch, std::size_t l2_bytes) {
  const std::int64_t group = launch.num_heads_q / launch.num_heads_kv;
  const std::int64_t groups = std::int64_t{launch.batch} * launch.num_heads_kv;
  const std::int64_t bytes = std::int64_t{2} * launch.seqlen_k * (descriptor.head_dim_qk + descriptor.head_dim_v);
  return static_cast<int>(group * heads_in_l2(groups, bytes, l2_bytes));
}

}  // namespace

ForwardKernel::ForwardKernel(std::shared_ptr<Device> device, const generator::KernelSource& source,
                             const StoredKernel& stored, std::string digest)
    : AttentionKernel(std::move(device), source, stored, std::move(digest)),
      threads_(static_cast<std::uint32_t>(source.threads)),
      shared_bytes_(static_cast<std::uint32_t>(source.shared_bytes)),
      loaded_(this->device().load(stored.image, source.entry, shared_bytes_)) {}

ForwardArguments forward_arguments(const KernelDescriptor& descriptor, const TileConfig& config,
                                   const ForwardLaunch& launch, std::size_t l2_bytes) {
  const int row_tiles = (launch.seqlen_q + config.tile_q - 1) / config.tile_q;
  const int key_tiles = (launch.seqlen_k + config.tile_k - 1) / config.tile_k;
  const bool has_plan = launch.plan.data != 0;
  const PlanLayout plan = has_plan ? plan_layout(launch.plan.mask, launch.plan.tile) : PlanLayout{};
  const bool has_vectors = vectors_per_column(descriptor.mask_form) > 0;
  return {
      .query = device_pointer<const void>(launch.query.data),
      .key = device_pointer<const void>(launch.key.data),
      .value = device_pointer<const void>(launch.value.data),
      .output = device_pointer<void>(launch.output.data),
      .lse = device_pointer<float>(launch.lse),
      .row_intervals = device_pointer<const int>(launch.startend_row_indices),
      .plan_work = has_plan ? device_pointer<const mask_plan::Work>(launch.plan.data + plan.row_work) : nullptr,
      .plan_classes =
          has_plan ? device_pointer<const mask_plan::TileWord>(launch.plan.data + plan.row_classes) : nullptr,
      .query_strides = strides_of(launch.query),
      .key_strides = strides_of(launch.key),
      .value_strides = strides_of(launch.value),
      .output_strides = strides_of(launch.output),
      .batch = launch.batch,
      .seqlen_q = launch.seqlen_q,
      .seqlen_k = launch.seqlen_k,
      .num_heads_q = launch.num_heads_q,
      .num_heads_kv = launch.num_heads_kv,
      .num_heads_mask = has_vectors ? launch.num_heads_mask : 1,
      .heads_per_mask_head = has_vectors ? launch.num_heads_q / launch.num_heads_mask : launch.num_heads_q,
      .row_tiles = row_tiles,
      .section_heads = section_heads(descriptor, launch, l2_bytes),
      .class_words = (key_tiles + 31) / 32,
      .cut_key_tile = launch.seqlen_k % config.tile_k == 0 ? -1 : key_tiles - 1,
      .diagonal_offset =
          descriptor.causal_alignment == CausalAlignment::kBottomRight ? launch.seqlen_k - launch.seqlen_q : 0,
      .window_left = bounded_window(launch.window_left, launch),
      .window_right = bounded_window(launch.window_right, launch),
      .softmax_scale_log2 = launch.softmax_scale * std::numbers::log2e_v<float>,
      .softmax_scale = launch.softmax_scale,
  };
}

ForwardKernel::Dispatch ForwardKernel::dispatch_of(const ForwardLaunch& launch) const {
  refuse_broken(broken_rules(descriptor(), launch, config()));
  const ForwardArguments arguments = forward_arguments(descriptor(), config(), launch, device().properties().l2_bytes);
  // CTAs start in the order of their numbers, which is the order of work: the GPU itself is the queue.
  const auto heads = static_cast<std::uint32_t>(launch.batch) * static_cast<std::uint32_t>(launch.num_heads_q);
  return {.arguments = arguments,
          .geometry = {.grid = {static_cast<std::uint32_t>(arguments.row_tiles) * heads, 1, 1},
                       .block = threads_,
                       .shared_bytes = shared_bytes_}};
}

void ForwardKernel::enqueue(const Dispatch& dispatch, Stream stream) const {
  device().launch(*loaded_, dispatch.geometry, std::as_bytes(std::span(&dispatch.arguments, 1)), stream);
}

void ForwardKernel::launch(const ForwardLaunch& launch, Stream stream, Workspace) const {
  enqueue(dispatch_of(launch), stream);
}

std::unique_ptr<const PreparedLaunch> ForwardKernel::prepare(const ForwardLaunch& launch, Workspace) const {
  return std::make_unique<const DispatchedLaunch<ForwardKernel>>(shared_from_this(), dispatch_of(launch));
}

}  // namespace flashmask
