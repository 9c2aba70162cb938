#include "runtime/launch_rules.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "generator/kernel_family.h"
#include "runtime/plan/layout.h"

namespace flashmask {
namespace {

// Sums of three positions (a row, the offset of the diagonal, a window) are taken in 32 bits by the kernels.
constexpr int kMaxSeqlen = 1 << 29;
// Their product is counted in 32 bits.
constexpr int kMaxHeads = 65535;
constexpr std::int64_t kMaxGridX = 0x7fffffff;
constexpr std::int64_t kElementBytes = 2;

/// A plan must be of this very mask, and all there.
void check_plan(RuleCollector& rules, const KernelDescriptor& descriptor, const ForwardLaunch& launch) {
  const PlanView& plan = launch.plan;
  if (plan.data == 0) return;
  rules.require(plan.mask.form == descriptor.mask_form && plan.mask.causal_alignment == descriptor.causal_alignment,
                "the plan is of form {} {}, the kernel of {} {}", to_string(plan.mask.form),
                to_string(plan.mask.causal_alignment), to_string(descriptor.mask_form),
                to_string(descriptor.causal_alignment));
  const auto check = [&](const char* name, int of_plan, int of_launch) {
    rules.require(of_plan == of_launch, "the plan has {} = {}, the launch {}: prepare a plan of this mask", name,
                  of_plan, of_launch);
  };
  check("batch", plan.mask.batch, launch.batch);
  check("num_heads_mask", plan.mask.num_heads, launch.num_heads_mask);
  check("seqlen_q", plan.mask.seqlen_q, launch.seqlen_q);
  check("seqlen_k", plan.mask.seqlen_k, launch.seqlen_k);
  // Without formatting a text that nobody needs: a launch allocates nothing.
  const bool is_tile = plan.tile.tile_q >= 16 && plan.tile.tile_k >= 16;
  rules.require(is_tile, "the plan has tiles of {} x {}: take a view that MaskPlan returned", plan.tile.tile_q,
                plan.tile.tile_k);
  if (!is_tile || plan.mask.seqlen_q < 1 || plan.mask.seqlen_k < 1) return;
  const std::size_t needed = plan_layout(plan.mask, plan.tile).bytes;
  rules.require(plan.bytes >= needed, "the plan has {} bytes, {} are needed", plan.bytes, needed);
  rules.require(plan.data % kRowAlignment == 0, "the plan is at 0x{:x}: a multiple of {} bytes is needed", plan.data,
                kRowAlignment);
}

}  // namespace

void check_tensor(RuleCollector& rules, const char* name, const TensorView& tensor, int batch, int seqlen, int heads,
                  int head_dim, bool written) {
  rules.require(tensor.data != 0, "{} is null: device memory is needed", name);
  rules.require(tensor.data % kRowAlignment == 0,
                "{} is at 0x{:x}: rows start at multiples of {} bytes, so the tensor must too", name, tensor.data,
                kRowAlignment);
  struct Axis {
    const char* name;
    int extent;
    std::int64_t stride;
    bool distance_fits_32_bits;  // the kernel takes it so, in bytes
  };
  constexpr std::int64_t kMaxRowStride = (std::int64_t{1} << 31) / kElementBytes;
  for (const Axis& axis :
       {Axis{"batch", batch, tensor.stride_batch, false}, Axis{"seqlen", seqlen, tensor.stride_seqlen, !written},
        Axis{"head", heads, tensor.stride_head, false}}) {
    if (axis.extent <= 1) continue;
    rules.require(axis.stride % (kRowAlignment / kElementBytes) == 0,
                  "{}: the {} stride is {} elements: a multiple of {} is needed (rows of {} bytes alignment)", name,
                  axis.name, axis.stride, kRowAlignment / kElementBytes, kRowAlignment);
    constexpr std::int64_t kMaxStride = std::int64_t{1} << 52;
    rules.require(
        axis.stride > -kMaxStride && axis.stride < kMaxStride && std::abs(axis.stride) <= kMaxStride / axis.extent,
        "{}: the {} stride of {} elements times {} overflows an address", name, axis.name, axis.stride, axis.extent);
    if (axis.distance_fits_32_bits)
      rules.require(axis.stride > -kMaxRowStride && axis.stride < kMaxRowStride,
                    "{}: the {} stride is {} elements: less than {} either way is needed", name, axis.name, axis.stride,
                    kMaxRowStride);
    if (written)
      rules.require(axis.stride >= head_dim || axis.stride <= -head_dim,
                    "{}: the {} stride of {} elements makes rows of {} elements overlap, and they are written", name,
                    axis.name, axis.stride, head_dim);
  }
}

void check_boxes(RuleCollector& rules, const char* name, const TensorView& tensor, int batch, int seqlen, int heads) {
  struct Axis {
    const char* name;
    int extent;
    std::int64_t stride;
  };
  constexpr std::int64_t kStrideLimit = (std::int64_t{1} << 40) / kElementBytes;
  for (const Axis& axis : {Axis{"batch", batch, tensor.stride_batch}, Axis{"seqlen", seqlen, tensor.stride_seqlen},
                           Axis{"head", heads, tensor.stride_head}})
    rules.require(axis.extent <= 1 || (axis.stride >= 0 && axis.stride < kStrideLimit),
                  "{}: the {} stride is {} elements: the tensor copies of sm_90a take 0 to {}; request the kernel for "
                  "sm_90, or copy the tensor",
                  name, axis.name, axis.stride, kStrideLimit - 1);
}

void check_extents(RuleCollector& rules, const ForwardLaunch& launch) {
  rules.require(launch.batch >= 1 && launch.batch <= kMaxHeads, "batch = {}: 1 to {} is allowed", launch.batch,
                kMaxHeads);
  rules.require(launch.seqlen_q >= 1 && launch.seqlen_q <= kMaxSeqlen, "seqlen_q = {}: 1 to {} is allowed",
                launch.seqlen_q, kMaxSeqlen);
  rules.require(launch.seqlen_k >= 1 && launch.seqlen_k <= kMaxSeqlen, "seqlen_k = {}: 1 to {} is allowed",
                launch.seqlen_k, kMaxSeqlen);
  const bool heads_q_fine = launch.num_heads_q >= 1 && launch.num_heads_q <= kMaxHeads;
  rules.require(heads_q_fine, "num_heads_q = {}: 1 to {} is allowed", launch.num_heads_q, kMaxHeads);
  rules.require(launch.num_heads_kv >= 1, "num_heads_kv = {}: at least 1 is needed", launch.num_heads_kv);
  if (heads_q_fine && launch.num_heads_kv >= 1)
    rules.require(launch.num_heads_q % launch.num_heads_kv == 0,
                  "num_heads_q = {} and num_heads_kv = {}: the first must be a multiple of the second",
                  launch.num_heads_q, launch.num_heads_kv);
}

void check_workspace(RuleCollector& rules, const Workspace& workspace, std::size_t needed) {
  rules.require(workspace.data != 0,
                "the workspace is null: {} bytes of device memory are needed, see workspace_size()", needed);
  rules.require(workspace.data % kRowAlignment == 0, "the workspace is at 0x{:x}: a multiple of {} bytes is needed",
                workspace.data, kRowAlignment);
  rules.require(workspace.bytes >= needed, "the workspace has {} bytes, {} are needed: ask workspace_size()",
                workspace.bytes, needed);
}

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const ForwardLaunch& launch) {
  RuleCollector rules;
  check_extents(rules, launch);
  check_tensor(rules, "query", launch.query, launch.batch, launch.seqlen_q, launch.num_heads_q, descriptor.head_dim_qk,
               false);
  check_tensor(rules, "key", launch.key, launch.batch, launch.seqlen_k, launch.num_heads_kv, descriptor.head_dim_qk,
               false);
  check_tensor(rules, "value", launch.value, launch.batch, launch.seqlen_k, launch.num_heads_kv, descriptor.head_dim_v,
               false);
  check_tensor(rules, "output", launch.output, launch.batch, launch.seqlen_q, launch.num_heads_q, descriptor.head_dim_v,
               true);
  if (generator::uses_wgmma(descriptor)) {
    check_boxes(rules, "query", launch.query, launch.batch, launch.seqlen_q, launch.num_heads_q);
    check_boxes(rules, "key", launch.key, launch.batch, launch.seqlen_k, launch.num_heads_kv);
    check_boxes(rules, "value", launch.value, launch.batch, launch.seqlen_k, launch.num_heads_kv);
    if (descriptor.pass == Pass::kForward)
      check_boxes(rules, "output", launch.output, launch.batch, launch.seqlen_q, launch.num_heads_q);
  }
  rules.require(launch.lse % kFloatAlignment == 0, "lse is at 0x{:x}: float32 needs a multiple of {} bytes", launch.lse,
                kFloatAlignment);

  const int vectors = vectors_per_column(descriptor.mask_form);
  if (vectors > 0) {
    rules.require(launch.startend_row_indices != 0, "startend_row_indices is null: form {} needs {} per key column",
                  to_string(descriptor.mask_form), vectors);
    // All vectors of a column are read at once.
    const auto alignment = static_cast<std::uint64_t>(vectors) * sizeof(std::int32_t);
    rules.require(launch.startend_row_indices % alignment == 0,
                  "startend_row_indices is at 0x{:x}: form {} needs a multiple of {} bytes",
                  launch.startend_row_indices, to_string(descriptor.mask_form), alignment);
    const int heads = launch.num_heads_mask;
    rules.require(heads == 1 || (heads > 0 && (heads == launch.num_heads_kv || heads == launch.num_heads_q)),
                  "num_heads_mask = {}: 1, num_heads_kv = {} or num_heads_q = {} is allowed", heads,
                  launch.num_heads_kv, launch.num_heads_q);
    check_plan(rules, descriptor, launch);
  } else {
    rules.require(launch.plan.data == 0, "a plan is given, but form {} needs none: leave it out",
                  to_string(descriptor.mask_form));
    rules.require(launch.startend_row_indices == 0,
                  "startend_row_indices is given, but form {} has none: leave it 0, or request form c1, c2, f2 or f4",
                  to_string(descriptor.mask_form));
  }

  if (descriptor.mask_form == MaskForm::kWindow) {
    rules.require(launch.window_left >= -1, "window_left = {}: -1 (all) or at least 0 is allowed", launch.window_left);
    rules.require(launch.window_right >= -1, "window_right = {}: -1 (all) or at least 0 is allowed",
                  launch.window_right);
  } else {
    rules.require(launch.window_left == -1 && launch.window_right == -1,
                  "window = ({}, {}), but form {} has none: leave both at -1, or request form window",
                  launch.window_left, launch.window_right, to_string(descriptor.mask_form));
  }
  rules.require(std::isfinite(launch.softmax_scale) && launch.softmax_scale > 0,
                "softmax_scale = {}: a finite number over 0 is needed (usually 1/sqrt(head_dim_qk))",
                launch.softmax_scale);
  return rules.take();
}

void add_broken_grid_rule(std::vector<std::string>& rules, const char* what, int seqlen, int tile, std::int64_t heads) {
  const std::int64_t tiles = (std::int64_t{seqlen} + tile - 1) / tile;
  if (tiles * heads > kMaxGridX)
    rules.push_back(
        fmt::format("{} {} tiles of {} rows for each of {} heads and batch entries: a launch has room for "
                    "{} in all; launch fewer batch entries at a time",
                    tiles, what, tile, heads, kMaxGridX));
}

void add_broken_config_rules(std::vector<std::string>& rules, const ForwardLaunch& launch, const TileConfig& config) {
  const TileShape tile{config.tile_q, config.tile_k};
  if (rules.empty())
    add_broken_grid_rule(rules, "query", launch.seqlen_q, tile.tile_q, std::int64_t{launch.batch} * launch.num_heads_q);
  if (launch.plan.data != 0 && !(launch.plan.tile == tile))
    rules.push_back(fmt::format("the plan has tiles of {} x {}, the kernel of {} x {}: prepare it for Kernel::tile()",
                                launch.plan.tile.tile_q, launch.plan.tile.tile_k, tile.tile_q, tile.tile_k));
}

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const ForwardLaunch& launch,
                                      const TileConfig& config) {
  std::vector<std::string> rules = broken_rules(descriptor, launch);
  add_broken_config_rules(rules, launch, config);
  return rules;
}

}  // namespace flashmask
