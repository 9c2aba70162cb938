#include "flashmask/tile_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "generator/architecture.h"
#include "generator/forward_layout.h"

namespace flashmask {
namespace {

constexpr int kMaxRegistersPerThread = 255;

/// Registers of a thread in the main loop. Accumulators dominate; the rest was fitted to ptxas' figures of the
/// defaults.
int estimate_registers(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int row_blocks = config.tile_q / (16 * config.warps);
  const int output = row_blocks * generator::padded_head_dim(descriptor.head_dim_v) / 2;
  const int scores = row_blocks * config.tile_k / 2;
  const int query = config.query_in_registers ? row_blocks * generator::padded_head_dim(descriptor.head_dim_qk) / 4 : 0;
  constexpr int kAddressesAndOperands = 48;
  return output + scores + query + row_blocks * 4 + kAddressesAndOperands;
}

}  // namespace

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const TileConfig& config) {
  std::vector<std::string> rules = broken_rules(descriptor);
  const bool legal_descriptor = rules.empty();
  if (config.warps < 1 || config.warps > 8)
    rules.push_back(fmt::format("warps = {}: 1 to 8 are allowed", config.warps));
  const int row_step = 16 * std::clamp(config.warps, 1, 8);
  if (config.tile_q < row_step || config.tile_q > 256 || config.tile_q % row_step != 0)
    rules.push_back(fmt::format("tile_q = {}: a multiple of {} (16 rows for each of {} warps) up to 256 is needed",
                                config.tile_q, row_step, row_step / 16));
  if (config.tile_k < 16 || config.tile_k > 256 || config.tile_k % 16 != 0)
    rules.push_back(fmt::format("tile_k = {}: a multiple of 16 up to 256 is needed", config.tile_k));
  if (config.stages < 2 || config.stages > 6)
    rules.push_back(fmt::format("stages = {}: 2 to 6 are allowed", config.stages));
  if (!legal_descriptor || !rules.empty()) return rules;

  const ResourceEstimate resources = estimate_resources(descriptor, config);
  const generator::Architecture& architecture = *generator::find_architecture(descriptor.target);
  if (resources.shared_bytes > architecture.shared_bytes_per_block)
    rules.push_back(fmt::format(
        "{}: {} bytes of shared memory are needed, {} allows {} per CTA; use smaller tiles or "
        "fewer stages",
        to_string(config), resources.shared_bytes, to_string(descriptor.target), architecture.shared_bytes_per_block));
  return rules;
}

ResourceEstimate estimate_resources(const KernelDescriptor& descriptor, const TileConfig& config) {
  ResourceEstimate estimate;
  estimate.shared_bytes = generator::forward_shared_bytes(descriptor, config);
  estimate.registers_per_thread = std::min(estimate_registers(descriptor, config), kMaxRegistersPerThread);
  if (const generator::Architecture* architecture = generator::find_architecture(descriptor.target)) {
    // Registers are allocated per warp in units of 256.
    const int registers_per_warp = (estimate.registers_per_thread * 32 + 255) / 256 * 256;
    const int by_registers = architecture->registers_per_sm / (registers_per_warp * config.warps);
    const int by_shared = estimate.shared_bytes > architecture->shared_bytes_per_block
                              ? 0
                              : architecture->shared_bytes_per_sm /
                                    (estimate.shared_bytes + architecture->reserved_shared_bytes_per_block);
    estimate.ctas_per_sm = std::min({by_registers, by_shared, architecture->warps_per_sm / config.warps});
  }
  return estimate;
}

TileConfig default_tile_config(const KernelDescriptor& descriptor) {
  // Best first, by measurement on an H100 (head dims 64 and 128) and by ptxas' spills. Four warps with 32 rows each
  // read every K and V fragment for two row blocks, which halves the traffic of shared memory; from 128 output columns
  // on their accumulators no longer fit the registers, and eight warps with 16 rows take over. Two CTAs on an SM hide
  // each other's barriers; where they do not fit, one must do.
  constexpr TileConfig kNarrow[] = {{128, 64, 4, 3, true}, {128, 64, 4, 2, true}, {64, 64, 4, 2}, {64, 32, 4, 2}};
  constexpr TileConfig kMiddle[] = {{128, 64, 4, 2}, {128, 48, 4, 2}, {128, 32, 4, 2}, {64, 64, 4, 2}, {64, 32, 4, 2}};
  constexpr TileConfig kWide[] = {{128, 64, 8, 2}, {64, 64, 4, 2}, {64, 32, 4, 2}, {64, 16, 4, 2}};
  const int width = generator::padded_head_dim(std::max(descriptor.head_dim_qk, descriptor.head_dim_v));
  const bool wide = generator::padded_head_dim(descriptor.head_dim_v) > 128;
  const std::span<const TileConfig> candidates = wide          ? std::span<const TileConfig>(kWide)
                                                 : width <= 64 ? std::span<const TileConfig>(kNarrow)
                                                               : std::span<const TileConfig>(kMiddle);
  for (const int wanted_ctas : {wide ? 1 : 2, 1})
    for (const TileConfig& candidate : candidates)
      if (broken_rules(descriptor, candidate).empty() &&
          estimate_resources(descriptor, candidate).ctas_per_sm >= wanted_ctas)
        return candidate;
  return candidates.back();
}

std::string to_string(const TileConfig& config) {
  return fmt::format("{}x{} w{} s{}{}", config.tile_q, config.tile_k, config.warps, config.stages,
                     config.query_in_registers ? " qreg" : "");
}

}  // namespace flashmask
