#include "runtime/backward_rules.h"

#include <array>
#include <cstdint>
#include <iterator>
#include <span>

#include "generator/kernel_family.h"
#include "runtime/launch_rules.h"
#include "runtime/rule_collector.h"
#include "runtime/strided_memory.h"

namespace flashmask {
namespace {

struct NamedMemory {
  const char* name;
  StridedMemory memory;
};

constexpr std::size_t kReadMemories = 9;
constexpr std::size_t kWrittenMemories = 3;

/// All that a launch reads, and then the gradients that it writes; arrays that are not there cover nothing.
std::array<NamedMemory, kReadMemories + kWrittenMemories> memories_of(const KernelDescriptor& descriptor,
                                                                      const BackwardLaunch& launch) {
  const ForwardLaunch& forward = launch.forward;
  const auto of_queries = [&](const TensorView& tensor, int head_dim) {
    return memory_of(tensor, forward.batch, forward.seqlen_q, forward.num_heads_q, head_dim);
  };
  const auto of_keys = [&](const TensorView& tensor, int head_dim) {
    return memory_of(tensor, forward.batch, forward.seqlen_k, forward.num_heads_kv, head_dim);
  };
  const auto array = [&](DevicePointer address, int heads, int seqlen, std::size_t element_bytes) {
    return array_memory(address, address == 0 ? 0 : static_cast<std::uint64_t>(forward.batch) * heads,
                        static_cast<std::uint64_t>(seqlen) * element_bytes);
  };
  const std::size_t column_bytes = vectors_per_column(descriptor.mask_form) * sizeof(std::int32_t);
  return {{{"query", of_queries(forward.query, descriptor.head_dim_qk)},
           {"key", of_keys(forward.key, descriptor.head_dim_qk)},
           {"value", of_keys(forward.value, descriptor.head_dim_v)},
           {"output", of_queries(forward.output, descriptor.head_dim_v)},
           {"output_gradient", of_queries(launch.output_gradient, descriptor.head_dim_v)},
           {"lse", array(forward.lse, forward.num_heads_q, forward.seqlen_q, sizeof(float))},
           {"lse_gradient", array(launch.lse_gradient, forward.num_heads_q, forward.seqlen_q, sizeof(float))},
           {"startend_row_indices",
            array(forward.startend_row_indices, forward.num_heads_mask, forward.seqlen_k, column_bytes)},
           {"the plan", array_memory(forward.plan.data, forward.plan.data == 0 ? 0 : 1, forward.plan.bytes)},
           {"query_gradient", of_queries(launch.query_gradient, descriptor.head_dim_qk)},
           {"key_gradient", of_keys(launch.key_gradient, descriptor.head_dim_qk)},
           {"value_gradient", of_keys(launch.value_gradient, descriptor.head_dim_v)}}};
}

void check_apart(RuleCollector& rules, const NamedMemory& written, const NamedMemory& other) {
  const Overlap overlap = overlap_of(written.memory, other.memory);
  rules.require(overlap != Overlap::kSome,
                "{} overlaps {}: it is written while the other is in use; give it memory of its own", written.name,
                other.name);
  rules.require(overlap != Overlap::kUnknown,
                "{} and {} lie in one range of addresses, and from their strides it cannot be told that they are "
                "apart: give them the same batch and seqlen strides, or ranges of their own",
                written.name, other.name);
}

}  // namespace

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch) {
  const ForwardLaunch& forward = launch.forward;
  std::vector<std::string> of_forward = broken_rules(descriptor, forward);
  RuleCollector rules;
  rules.require(forward.lse != 0, "lse is null: a backward needs what its forward wrote there; let both have one");
  check_tensor(rules, "output_gradient", launch.output_gradient, forward.batch, forward.seqlen_q, forward.num_heads_q,
               descriptor.head_dim_v, false);
  if (generator::uses_wgmma(descriptor))
    check_boxes(rules, "output_gradient", launch.output_gradient, forward.batch, forward.seqlen_q, forward.num_heads_q);
  rules.require(launch.lse_gradient % kFloatAlignment == 0,
                "lse_gradient is at 0x{:x}: float32 needs a multiple of {} bytes", launch.lse_gradient,
                kFloatAlignment);
  check_tensor(rules, "query_gradient", launch.query_gradient, forward.batch, forward.seqlen_q, forward.num_heads_q,
               descriptor.head_dim_qk, true);
  check_tensor(rules, "key_gradient", launch.key_gradient, forward.batch, forward.seqlen_k, forward.num_heads_kv,
               descriptor.head_dim_qk, true);
  check_tensor(rules, "value_gradient", launch.value_gradient, forward.batch, forward.seqlen_k, forward.num_heads_kv,
               descriptor.head_dim_v, true);
  // What a tensor covers has a meaning only where its extents and strides have one.
  if (of_forward.empty() && rules.broken().empty()) {
    const auto memories = memories_of(descriptor, launch);
    for (std::size_t written = kReadMemories; written < memories.size(); ++written)
      for (std::size_t other = 0; other < written; ++other) check_apart(rules, memories[written], memories[other]);
  }
  std::vector<std::string> of_backward = rules.take();
  of_forward.insert(of_forward.end(), std::make_move_iterator(of_backward.begin()),
                    std::make_move_iterator(of_backward.end()));
  return of_forward;
}

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                      const TileConfig& config) {
  std::vector<std::string> rules = broken_rules(descriptor, launch);
  add_broken_config_rules(rules, launch.forward, config);
  if (rules.empty())
    add_broken_grid_rule(rules, "key", launch.forward.seqlen_k, config.tile_k,
                         std::int64_t{launch.forward.batch} * launch.forward.num_heads_kv);
  return rules;
}

std::vector<std::string> broken_extent_rules(const BackwardLaunch& launch, const TileConfig& config) {
  RuleCollector extents;
  check_extents(extents, launch.forward);
  std::vector<std::string> rules = extents.take();
  if (rules.empty()) {
    add_broken_grid_rule(rules, "query", launch.forward.seqlen_q, config.tile_q,
                         std::int64_t{launch.forward.batch} * launch.forward.num_heads_q);
    add_broken_grid_rule(rules, "key", launch.forward.seqlen_k, config.tile_k,
                         std::int64_t{launch.forward.batch} * launch.forward.num_heads_kv);
  }
  return rules;
}

std::vector<std::string> broken_workspace_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                                const Workspace& workspace, std::size_t needed) {
  RuleCollector rules;
  if (needed == 0) return rules.take();
  check_workspace(rules, workspace, needed);
  if (!rules.broken().empty()) return rules.take();
  const NamedMemory used{"the workspace", array_memory(workspace.data, 1, needed)};
  for (const NamedMemory& other : memories_of(descriptor, launch)) check_apart(rules, used, other);
  return rules.take();
}

}  // namespace flashmask
