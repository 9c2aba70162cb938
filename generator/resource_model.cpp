#include "generator/resource_model.h"

#include <algorithm>

#include "generator/backward_layout.h"
#include "generator/forward_layout.h"
#include "generator/kernel_family.h"

namespace flashmask {
namespace generator {
namespace {

/// Registers of a thread in the main loop. Accumulators dominate. The rest is the most that ptxas took beside them in
/// kernels so small that it decides how many CTAs fit an SM, so that no more are promised than there will be; large
/// kernels take what the launch bounds leave.
int estimate_registers(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int row_blocks = config.tile_q / (16 * config.warps);
  const int output = row_blocks * padded_head_dim(descriptor.head_dim_v) / 2;
  const int scores = row_blocks * config.tile_k / 2;
  const int query = config.query_in_registers ? row_blocks * padded_head_dim(descriptor.head_dim_qk) / 4 : 0;
  constexpr int kAddressesAndOperands = 88;
  return output + scores + query + row_blocks * 4 + kAddressesAndOperands;
}

/// The same of the main backward kernel.
int estimate_backward_registers(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kAddressesAndOperands = 88;
  return backward_accumulator_registers(descriptor, config) + kAddressesAndOperands;
}

}  // namespace

CtaNeeds needs_of(const KernelDescriptor& descriptor, const TileConfig& config, const TargetLimits& limits) {
  // 512 threads, a chunk's boundaries and where the documents at its ends begin and end.
  if (descriptor.pass == Pass::kMaskBuild) return {.warps = 16, .registers_per_thread = 32, .shared_bytes = 144};
  // 256 threads, and the static shared memory of the larger of its two kernels, rounded up.
  if (descriptor.pass == Pass::kMaskPlan) return {.warps = 8, .registers_per_thread = 64, .shared_bytes = 9216};
  if (uses_wgmma(descriptor)) {
    // A warpgroup more, and the registers that the launch bounds leave when every warpgroup has an equal share.
    const int warps = config.warps + 4;
    constexpr int kGranularity = 8;
    const int share = limits.registers_per_cta / (32 * warps) / kGranularity * kGranularity;
    return {.warps = warps,
            .registers_per_thread = std::min(share, limits.registers_per_thread),
            .shared_bytes = descriptor.pass == Pass::kBackward ? backward_sm90_shared_bytes(descriptor, config)
                                                               : forward_sm90_shared_bytes(descriptor, config)};
  }
  if (descriptor.pass == Pass::kBackward)
    return {
        .warps = config.warps,
        .registers_per_thread = std::min(estimate_backward_registers(descriptor, config), limits.registers_per_thread),
        .shared_bytes = backward_shared_bytes(descriptor, config)};
  return {.warps = config.warps,
          .registers_per_thread = std::min(estimate_registers(descriptor, config), limits.registers_per_thread),
          .shared_bytes = forward_shared_bytes(descriptor, config)};
}

ResourceEstimate estimate_resources(const KernelDescriptor& descriptor, const TileConfig& config,
                                    const TargetLimits& limits) {
  const CtaNeeds needs = needs_of(descriptor, config, limits);
  const Occupancy occupancy = estimate_occupancy(needs, limits);
  return {.registers_per_thread = needs.registers_per_thread,
          .shared_bytes = needs.shared_bytes,
          .ctas_per_sm = ctas_per_sm(occupancy),
          .warps_per_cta = needs.warps,
          .occupancy = occupancy};
}

}  // namespace generator

ResourceEstimate estimate_resources(const KernelDescriptor& descriptor, const TileConfig& config) {
  return generator::estimate_resources(descriptor, config, limits_of(descriptor.target).value_or(TargetLimits{}));
}

}  // namespace flashmask
