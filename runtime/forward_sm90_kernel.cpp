#include "runtime/forward_sm90_kernel.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "runtime/forward_kernel.h"
#include "runtime/launch_rules.h"

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<ForwardSm90Arguments>, "the device reads the bytes of the struct");

constexpr std::size_t kQueueBytes = 16;  // a counter, in an allocation of its own size

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
      .query = tensor_map(device(), launch.query, launch.batch, launch.seqlen_q, launch.num_heads_q, dim_qk,
                          config().tile_q),
      .key =
          tensor_map(device(), launch.key, launch.batch, launch.seqlen_k, launch.num_heads_kv, dim_qk, config().tile_k),
      .value = tensor_map(device(), launch.value, launch.batch, launch.seqlen_k, launch.num_heads_kv, dim_v,
                          config().tile_k),
      .output =
          tensor_map(device(), launch.output, launch.batch, launch.seqlen_q, launch.num_heads_q, dim_v, kWarpRows),
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
