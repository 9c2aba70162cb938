#include "runtime/forward_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <numbers>
#include <type_traits>
#include <utility>

#include "runtime/plan/layout.h"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<ForwardArguments>, "the device reads the bytes of the struct");

template <typename Element>
Element* pointer(DevicePointer address) {
  return reinterpret_cast<Element*>(static_cast<std::uintptr_t>(address));
}

RowStrides strides_of(const TensorView& tensor) {
  return {tensor.stride_batch, tensor.stride_seqlen, tensor.stride_head};
}

/// A window that reaches over every key is no bound at all; saying so keeps the kernel's sums in 32 bits.
int bounded(int window, const ForwardLaunch& launch) {
  return window >= launch.seqlen_q + launch.seqlen_k ? -1 : window;
}

/// Of the L2 cache, for the keys and values of the heads whose work is started together; the rest is for what they read
/// and write besides, and for what the GPU's halves of the cache hold twice.
constexpr int kL2Share = 2;

/// How many query heads, over all batch entries, make a section: whole groups that share a key head, at least one.
int section_heads(const KernelDescriptor& descriptor, const ForwardLaunch& launch, std::size_t l2_bytes) {
  const std::int64_t group = launch.num_heads_q / launch.num_heads_kv;
  const std::int64_t groups = std::int64_t{launch.batch} * launch.num_heads_kv;
  const std::int64_t bytes = std::int64_t{2} * launch.seqlen_k * (descriptor.head_dim_qk + descriptor.head_dim_v);
  const std::int64_t fitting = static_cast<std::int64_t>(l2_bytes) / kL2Share / bytes;
  return static_cast<int>(group * std::clamp<std::int64_t>(fitting, 1, groups));
}

}  // namespace

ForwardKernel::ForwardKernel(std::shared_ptr<Device> device, const generator::KernelSource& source,
                             const StoredKernel& stored, std::string digest)
    : device_(std::move(device)),
      descriptor_(source.descriptor),
      config_(source.config),
      resources_(stored.record.resources),
      origin_(stored.origin),
      digest_(std::move(digest)),
      threads_(static_cast<std::uint32_t>(source.threads)),
      shared_bytes_(static_cast<std::uint32_t>(source.shared_bytes)),
      loaded_(device_->load(stored.image, source.entry, shared_bytes_)) {}

ForwardArguments forward_arguments(const KernelDescriptor& descriptor, const TileConfig& config,
                                   const ForwardLaunch& launch, std::size_t l2_bytes) {
  const int row_tiles = (launch.seqlen_q + config.tile_q - 1) / config.tile_q;
  const int key_tiles = (launch.seqlen_k + config.tile_k - 1) / config.tile_k;
  const bool has_plan = launch.plan.data != 0;
  const PlanLayout plan = has_plan ? plan_layout(launch.plan.mask, launch.plan.tile) : PlanLayout{};
  const bool has_vectors = vectors_per_column(descriptor.mask_form) > 0;
  return {
      .query = pointer<const void>(launch.query.data),
      .key = pointer<const void>(launch.key.data),
      .value = pointer<const void>(launch.value.data),
      .output = pointer<void>(launch.output.data),
      .lse = pointer<float>(launch.lse),
      .row_intervals = pointer<const int>(launch.startend_row_indices),
      .plan_work = has_plan ? pointer<const mask_plan::Work>(launch.plan.data + plan.row_work) : nullptr,
      .plan_classes = has_plan ? pointer<const mask_plan::TileWord>(launch.plan.data + plan.row_classes) : nullptr,
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
      .window_left = bounded(launch.window_left, launch),
      .window_right = bounded(launch.window_right, launch),
      .softmax_scale_log2 = launch.softmax_scale * std::numbers::log2e_v<float>,
      .softmax_scale = launch.softmax_scale,
  };
}

void ForwardKernel::launch(const ForwardLaunch& launch, Stream stream, Workspace) const {
  if (const std::vector<std::string> rules = broken_rules(descriptor_, launch, config_); !rules.empty()) [[unlikely]]
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the launch of \"{}\" breaks {}:\n  {}", to_string(descriptor_),
                    rules.size() == 1 ? "a rule" : fmt::format("{} rules", rules.size()), fmt::join(rules, "\n  ")));
  const ForwardArguments arguments = forward_arguments(descriptor_, config_, launch, device_->properties().l2_bytes);
  // CTAs start in the order of their numbers, which is the order of work: the GPU itself is the queue.
  const auto heads = static_cast<std::uint32_t>(launch.batch) * static_cast<std::uint32_t>(launch.num_heads_q);
  const LaunchGeometry geometry{
      .grid = {static_cast<std::uint32_t>(arguments.row_tiles) * heads, 1, 1},
      .block = threads_,
      .shared_bytes = shared_bytes_,
  };
  device_->launch(*loaded_, geometry, std::as_bytes(std::span(&arguments, 1)), stream);
}

}  // namespace flashmask
