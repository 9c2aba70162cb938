#include "runtime/forward_sm90_kernel.h"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <utility>

#include "generator/forward_layout.h"
#include "runtime/forward_kernel.h"
#include "runtime/launch_rules.h"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<ForwardSm90Arguments>, "the device reads the bytes of the struct");

constexpr std::size_t kQueueBytes = 16;  // a counter, in an allocation of its own size

/// Boxes of `rows` rows of a panel, as PanelTile lays them out.
TensorMap map_of(const Device& device, const TensorView& tensor, int batch, int seqlen, int heads, int head_dim,
                 int rows) {
  const int padded = generator::padded_head_dim(head_dim);
  return std::bit_cast<TensorMap>(device.encode({.data = tensor.data,
                                                 .columns = head_dim,
                                                 .seqlen = seqlen,
                                                 .heads = heads,
                                                 .batch = batch,
                                                 .stride_seqlen = tensor.stride_seqlen,
                                                 .stride_heads = tensor.stride_head,
                                                 .stride_batch = tensor.stride_batch,
                                                 .box_columns = padded % 64 == 0   ? 64
                                                                : padded % 32 == 0 ? 32
                                                                                   : 16,
                                                 .box_rows = rows}));
}

}  // namespace

ForwardSm90Kernel::ForwardSm90Kernel(std::shared_ptr<Device> device, const generator::KernelSource& source,
                                     const StoredKernel& stored, std::string digest)
    : AttentionKernel(std::move(device), source, stored, std::move(digest)),
      threads_(static_cast<std::uint32_t>(source.threads)),
      shared_bytes_(static_cast<std::uint32_t>(source.shared_bytes)),
      loaded_(this->device().load(stored.image, source.entry, shared_bytes_)) {}

std::size_t ForwardSm90Kernel::workspace_size(const ForwardLaunch&) const {
  return kQueueBytes;
}

void ForwardSm90Kernel::launch(const ForwardLaunch& launch, Stream stream, Workspace workspace) const {
  refuse_broken(broken_rules(descriptor(), launch, config()));
  RuleCollector rules;
  check_workspace(rules, workspace, kQueueBytes);
  refuse_broken(rules.broken());
  const DeviceProperties& properties = device().properties();
  const int dim_qk = descriptor().head_dim_qk;
  const int dim_v = descriptor().head_dim_v;
  constexpr int kWarpRows = 16;
  const ForwardArguments forward = forward_arguments(descriptor(), config(), launch, properties.l2_bytes);
  const int items = forward.row_tiles * launch.batch * launch.num_heads_q;
  const ForwardSm90Arguments arguments{
      .query = map_of(device(), launch.query, launch.batch, launch.seqlen_q, launch.num_heads_q, dim_qk,
                      config().tile_q),
      .key = map_of(device(), launch.key, launch.batch, launch.seqlen_k, launch.num_heads_kv, dim_qk, config().tile_k),
      .value =
          map_of(device(), launch.value, launch.batch, launch.seqlen_k, launch.num_heads_kv, dim_v, config().tile_k),
      .output =
          map_of(device(), launch.output, launch.batch, launch.seqlen_q, launch.num_heads_q, dim_v, kWarpRows),
      .forward = forward,
      .tickets = device_pointer<unsigned>(workspace.data),
      .work_items = items,
  };
  device().fill(workspace.data, 0, kQueueBytes, stream);
  const LaunchGeometry geometry{
      .grid = {static_cast<std::uint32_t>(std::min(items, properties.multiprocessors)), 1, 1},
      .block = threads_,
      .shared_bytes = shared_bytes_,
  };
  device().launch(*loaded_, geometry, std::as_bytes(std::span(&arguments, 1)), stream);
}

}  // namespace flashmask
