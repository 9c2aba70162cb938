#include "generator/backward_layout.h"

#include "flashmask/target_limits.h"
#include "generator/forward_layout.h"
#include "generator/kernel_family.h"

namespace flashmask::generator {
namespace {

int pairs_of_warp(int head_dim, const TileConfig& config) {
  return (padded_head_dim(head_dim) / 16 + config.column_warps - 1) / config.column_warps;
}

/// Blocks of 16 keys of a warp.
int key_blocks(const TileConfig& config) {
  return config.tile_k * config.column_warps / (16 * config.warps);
}

/// Of a thread, where a warp holds the scores of so many rows at a time: dK and dV, scores, and their gradients.
int accumulator_registers(const KernelDescriptor& descriptor, const TileConfig& config, int rows) {
  const int pairs = pairs_of_warp(descriptor.head_dim_qk, config) + pairs_of_warp(descriptor.head_dim_v, config);
  return key_blocks(config) * (pairs * 8 + rows);
}

}  // namespace

int backward_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kElement = 2;
  constexpr int kRowTerms = 8;
  const int columns = padded_head_dim(descriptor.head_dim_qk) + padded_head_dim(descriptor.head_dim_v);
  const int bounds = config.tile_k * 4 * vectors_per_column(descriptor.mask_form);
  const int slot = (config.tile_q * (columns * kElement + kRowTerms) + bounds + 127) / 128 * 128;
  const int scores = config.tile_q * config.tile_k * kElement * (config.column_warps > 1 ? 2 : 1);
  // Two halves of 32 tile numbers, heads and turns, and where the list ends; what the CTA works on.
  const int walk = 2 * 32 * (descriptor.deterministic ? 12 : 8) + 16;
  constexpr int kWork = 16;
  const int ticket = descriptor.deterministic ? 16 : 0;
  return config.tile_k * columns * kElement + config.stages * slot + scores + walk + kWork + ticket;
}

int backward_accumulator_registers(const KernelDescriptor& descriptor, const TileConfig& config) {
  return accumulator_registers(descriptor, config, backward_pass_rows(descriptor, config));
}

int backward_pass_rows(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kMostAccumulators = 192;  // of 255 registers
  const int rows_of_warp = config.tile_q / config.column_warps;
  for (const int rows : {64, 32})
    if (rows_of_warp % rows == 0 && accumulator_registers(descriptor, config, rows) <= kMostAccumulators) return rows;
  return 16;
}

namespace {

/// Without sums of dQ.
int backward_sm90_tile_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  constexpr int kElement = 2;
  constexpr int kRowTerms = 8;
  constexpr int kNote = 16;
  constexpr int kSlotMbarriers = 16;
  const int columns = padded_head_dim(descriptor.head_dim_qk) + padded_head_dim(descriptor.head_dim_v);
  const int scores = 2 * config.column_warps * config.tile_k * config.tile_q * kElement;
  const int slot = config.tile_q * (columns * kElement + kRowTerms) + kNote + 2 * kSlotMbarriers;
  // Where turns are passed on, of each warp.
  const int pending = descriptor.deterministic ? config.warps * 8 : 0;
  return pending + config.tile_k * columns * kElement + scores + config.stages * slot + 2 * kNote + 2 * kSlotMbarriers;
}

int query_sums_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  return config.tile_q * padded_head_dim(descriptor.head_dim_qk) * 4;
}

}  // namespace

int backward_sm90_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  if (!stages_query_sums(descriptor, config)) return backward_sm90_tile_bytes(descriptor, config);
  return backward_sm90_tile_bytes(descriptor, config) + query_sums_bytes(descriptor, config);
}

bool stages_query_sums(const KernelDescriptor& descriptor, const TileConfig& config) {
  return backward_sm90_tile_bytes(descriptor, config) + query_sums_bytes(descriptor, config) <=
         limits_of(descriptor.target).value_or(TargetLimits{}).shared_bytes_per_cta;
}

int turns_of_row_tile(const KernelDescriptor& descriptor, const TileConfig& config) {
  return uses_wgmma(descriptor) ? config.warps : 1;
}

bool has_vector_reductions(const Target& target) {
  return target.compute_capability >= 90;
}

}  // namespace flashmask::generator
