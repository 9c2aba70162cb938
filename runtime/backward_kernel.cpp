#include "runtime/backward_kernel.h"

#include <algorithm>
#include <numbers>
#include <type_traits>
#include <utility>

#include "generator/backward_layout.h"
#include "generator/forward_layout.h"
#include "generator/kernel_family.h"
#include "runtime/backward_rules.h"
#include "runtime/plan/layout.h"
#include "templates/backward_sm90_arguments.cuh"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<BackwardSm90Arguments>, "the device reads the bytes of the struct");

std::int64_t divide_up(std::int64_t dividend, std::int64_t divisor) {
  return (dividend + divisor - 1) / divisor;
}

constexpr int kCtasPerMultiprocessor = 2;  // at most

/// In how many parts each group of query heads is taken. One, where the key tiles alone are CTAs enough: dK and dV then
/// never leave registers. Else the fewest that make enough.
int splits_of_group(std::int64_t ctas, int group, int multiprocessors) {
  const std::int64_t wanted = std::int64_t{kCtasPerMultiprocessor} * multiprocessors;
  for (int splits = 1; splits < group; ++splits)
    if (group % splits == 0 && ctas * splits >= wanted) return splits;
  return group;
}

/// How many key heads (parts of their groups) make a section. In a deterministic backward the key tiles of a head that
/// are under way wait for each other, and the more, the less alike the rows are that they visit: there, enough heads
/// that few of their tiles are (measured on an H100: with a diagonal or documents, 10 to 20 % faster).
int section_heads(const KernelDescriptor& descriptor, const ForwardLaunch& launch, int splits,
                  const DeviceProperties& properties) {
  const std::int64_t heads = std::int64_t{launch.batch} * launch.num_heads_kv * splits;
  // What streams by again and again: queries, dO, and the sums of dQ.
  const std::int64_t head_bytes = std::int64_t{launch.seqlen_q} * (launch.num_heads_q / launch.num_heads_kv / splits) *
                                  (2 * (descriptor.head_dim_qk + descriptor.head_dim_v) + 4 * descriptor.head_dim_qk);
  const int fitting = heads_in_l2(heads, head_bytes, properties.l2_bytes);
  if (!descriptor.deterministic || descriptor.mask_form == MaskForm::kNone) return fitting;
  constexpr int kKeyTilesAtATime = 16;
  const int apart = kCtasPerMultiprocessor * properties.multiprocessors / kKeyTilesAtATime;
  return static_cast<int>(std::min<std::int64_t>(std::max(fitting, apart), heads));
}

}  // namespace

BackwardWorkspace backward_workspace(const KernelDescriptor& descriptor, const TileConfig& config,
                                     const ForwardLaunch& launch, int multiprocessors) {
  BackwardWorkspace layout;
  layout.row_tiles = divide_up(launch.seqlen_q, config.tile_q);
  layout.key_tiles = divide_up(launch.seqlen_k, config.tile_k);
  const std::int64_t key_tiles = layout.key_tiles * launch.batch * launch.num_heads_kv;
  layout.splits = splits_of_group(key_tiles, launch.num_heads_q / launch.num_heads_kv, multiprocessors);

  const auto row_tiles = static_cast<std::size_t>(layout.row_tiles * launch.batch * launch.num_heads_q);
  const auto key_parts = layout.splits == 1 ? 0 : static_cast<std::size_t>(key_tiles * layout.splits);
  const auto take = [&](std::size_t bytes) {
    constexpr std::size_t kLine = 128;
    const std::size_t begin = layout.bytes;
    layout.bytes += (bytes + kLine - 1) / kLine * kLine;
    return begin;
  };
  const auto tile_q = static_cast<std::size_t>(config.tile_q);
  const auto tile_k = static_cast<std::size_t>(config.tile_k);
  const auto columns_qk = static_cast<std::size_t>(generator::padded_head_dim(descriptor.head_dim_qk));
  const auto columns_v = static_cast<std::size_t>(generator::padded_head_dim(descriptor.head_dim_v));
  layout.query_sums = take(row_tiles * tile_q * columns_qk * sizeof(float));
  layout.row_terms = take(row_tiles * tile_q * sizeof(RowTerms));
  layout.key_sums = take(key_parts * tile_k * columns_qk * sizeof(float));
  layout.value_sums = take(key_parts * tile_k * columns_v * sizeof(float));
  if (descriptor.deterministic)
    layout.turns =
        take(row_tiles * static_cast<std::size_t>(generator::turns_of_row_tile(descriptor, config)) * sizeof(unsigned));
  if (descriptor.deterministic || generator::uses_wgmma(descriptor)) layout.tickets = take(sizeof(unsigned));
  return layout;
}

BackwardArguments backward_arguments(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                     DevicePointer workspace, const BackwardWorkspace& layout,
                                     const DeviceProperties& properties) {
  const ForwardLaunch& forward = launch.forward;
  const bool has_plan = forward.plan.data != 0;
  const PlanLayout plan = has_plan ? plan_layout(forward.plan.mask, forward.plan.tile) : PlanLayout{};
  const auto of_plan = [&]<typename Element>(std::size_t offset) {
    return has_plan ? device_pointer<const Element>(forward.plan.data + offset) : nullptr;
  };
  const bool has_vectors = vectors_per_column(descriptor.mask_form) > 0;
  const int group = forward.num_heads_q / forward.num_heads_kv;
  const bool is_split = layout.splits > 1;
  return {
      .query = device_pointer<const void>(forward.query.data),
      .key = device_pointer<const void>(forward.key.data),
      .value = device_pointer<const void>(forward.value.data),
      .output = device_pointer<const void>(forward.output.data),
      .output_gradient = device_pointer<const void>(launch.output_gradient.data),
      .query_gradient = device_pointer<void>(launch.query_gradient.data),
      .key_gradient = device_pointer<void>(launch.key_gradient.data),
      .value_gradient = device_pointer<void>(launch.value_gradient.data),
      .lse = device_pointer<const float>(forward.lse),
      .lse_gradient = device_pointer<const float>(launch.lse_gradient),
      .row_intervals = device_pointer<const int>(forward.startend_row_indices),
      .plan_work = of_plan.operator()<mask_plan::Work>(plan.key_work),
      .plan_classes = of_plan.operator()<mask_plan::TileWord>(plan.key_classes),
      .plan_summaries = of_plan.operator()<mask_plan::Summary>(plan.key_summaries),
      .plan_row_words = of_plan.operator()<mask_plan::TileWord>(plan.row_classes),
      .row_terms = device_pointer<RowTerms>(workspace + layout.row_terms),
      .query_sums = device_pointer<float>(workspace + layout.query_sums),
      .key_sums = is_split ? device_pointer<float>(workspace + layout.key_sums) : nullptr,
      .value_sums = is_split ? device_pointer<float>(workspace + layout.value_sums) : nullptr,
      .turns = device_pointer<unsigned>(workspace + layout.turns),
      .tickets = device_pointer<unsigned>(workspace + layout.tickets),
      .query_strides = strides_of(forward.query),
      .key_strides = strides_of(forward.key),
      .value_strides = strides_of(forward.value),
      .output_strides = strides_of(forward.output),
      .output_gradient_strides = strides_of(launch.output_gradient),
      .query_gradient_strides = strides_of(launch.query_gradient),
      .key_gradient_strides = strides_of(launch.key_gradient),
      .value_gradient_strides = strides_of(launch.value_gradient),
      .batch = forward.batch,
      .seqlen_q = forward.seqlen_q,
      .seqlen_k = forward.seqlen_k,
      .num_heads_q = forward.num_heads_q,
      .num_heads_kv = forward.num_heads_kv,
      .num_heads_mask = has_vectors ? forward.num_heads_mask : 1,
      .heads_per_mask_head = has_vectors ? forward.num_heads_q / forward.num_heads_mask : forward.num_heads_q,
      .heads_per_cta = group / layout.splits,
      .splits = layout.splits,
      .row_tiles = static_cast<int>(layout.row_tiles),
      .key_tiles = static_cast<int>(layout.key_tiles),
      .section_heads = section_heads(descriptor, forward, layout.splits, properties),
      .diagonal_offset =
          descriptor.causal_alignment == CausalAlignment::kBottomRight ? forward.seqlen_k - forward.seqlen_q : 0,
      .window_left = bounded_window(forward.window_left, forward),
      .window_right = bounded_window(forward.window_right, forward),
      .softmax_scale_log2 = forward.softmax_scale * std::numbers::log2e_v<float>,
      .softmax_scale = forward.softmax_scale,
  };
}

BackwardKernel::BackwardKernel(std::shared_ptr<Device> device, const generator::KernelSource& source,
                               const StoredKernel& stored, std::string digest)
    : AttentionKernel(std::move(device), source, stored, std::move(digest)),
      threads_(static_cast<std::uint32_t>(source.threads)),
      shared_bytes_(static_cast<std::uint32_t>(source.shared_bytes)),
      loaded_{this->device().load(stored.image, source.entries.at(0), 0),
              this->device().load(stored.image, source.entries.at(1), shared_bytes_),
              this->device().load(stored.image, source.entries.at(2), 0)} {}

std::size_t BackwardKernel::workspace_size(const BackwardLaunch& launch) const {
  refuse_broken(broken_extent_rules(launch, config()));
  return backward_workspace(descriptor(), config(), launch.forward, device().properties().multiprocessors).bytes;
}

void BackwardKernel::launch(const BackwardLaunch& launch, Stream stream, Workspace workspace) const {
  refuse_broken(broken_rules(descriptor(), launch, config()));
  const DeviceProperties& properties = device().properties();
  const BackwardWorkspace layout =
      backward_workspace(descriptor(), config(), launch.forward, properties.multiprocessors);
  refuse_broken(broken_workspace_rules(descriptor(), launch, workspace, layout.bytes));

  const BackwardArguments arguments = backward_arguments(descriptor(), launch, workspace.data, layout, properties);
  const auto batch = static_cast<std::uint32_t>(arguments.batch);
  const auto row_tiles = static_cast<std::uint32_t>(arguments.row_tiles * arguments.num_heads_q) * batch;
  const auto key_tiles = static_cast<std::uint32_t>(arguments.key_tiles * arguments.num_heads_kv) * batch;
  const auto splits = static_cast<std::uint32_t>(arguments.splits);
  const auto parameter = std::as_bytes(std::span(&arguments, 1));
  device().launch(*loaded_[0], {.grid = {row_tiles, 1, 1}, .block = generator::kBackwardPrepareThreads}, parameter,
                  stream);
  if (generator::uses_wgmma(descriptor())) {
    launch_sm90(launch, arguments, stream);
  } else {
    device().launch(*loaded_[1], {.grid = {key_tiles * splits, 1, 1}, .block = threads_, .shared_bytes = shared_bytes_},
                    parameter, stream);
  }
  device().launch(
      *loaded_[2],
      {.grid = {row_tiles + (splits > 1 ? 2 * key_tiles : 0), 1, 1}, .block = generator::kBackwardFinishThreads},
      parameter, stream);
}

void BackwardKernel::launch_sm90(const BackwardLaunch& launch, const BackwardArguments& arguments,
                                 Stream stream) const {
  const ForwardLaunch& forward = launch.forward;
  const auto of_rows = [&](const TensorView& tensor, int head_dim) {
    return tensor_map(device(), tensor, forward.batch, forward.seqlen_q, forward.num_heads_q, head_dim,
                      config().tile_q);
  };
  const auto of_keys = [&](const TensorView& tensor, int head_dim) {
    return tensor_map(device(), tensor, forward.batch, forward.seqlen_k, forward.num_heads_kv, head_dim,
                      config().tile_k);
  };
  const BackwardSm90Arguments of_main{
      .query = of_rows(forward.query, descriptor().head_dim_qk),
      .output_gradient = of_rows(launch.output_gradient, descriptor().head_dim_v),
      .key = of_keys(forward.key, descriptor().head_dim_qk),
      .value = of_keys(forward.value, descriptor().head_dim_v),
      .backward = arguments,
      .work_items = arguments.key_tiles * arguments.num_heads_kv * arguments.splits * arguments.batch,
  };
  // They stay on their multiprocessors and take their work by tickets.
  const int ctas = std::min(of_main.work_items, device().properties().multiprocessors);
  device().launch(*loaded_[1],
                  {.grid = {static_cast<std::uint32_t>(ctas), 1, 1}, .block = threads_, .shared_bytes = shared_bytes_},
                  std::as_bytes(std::span(&of_main, 1)), stream);
}

}  // namespace flashmask
