#pragma once

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask::generator {

/// Head dims are padded to whole matrix operands; the padding lives in shared memory and registers only.
constexpr int padded_head_dim(int head_dim) {
  return (head_dim + 15) / 16 * 16;
}

/// Dynamic shared memory of the forward kernel: the query tile (later the output), the K/V ring, the mask bounds of
/// each slot, the walk's list, the notes of the CTA. The template asserts that it agrees.
inline int forward_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int widest = 2 * (padded_head_dim(descriptor.head_dim_qk) > padded_head_dim(descriptor.head_dim_v)
                              ? padded_head_dim(descriptor.head_dim_qk)
                              : padded_head_dim(descriptor.head_dim_v));
  const int ring = config.stages * config.tile_k * widest;
  const int key_tiles_in_ring = (config.stages + 1) / 2;
  const int bounds = key_tiles_in_ring * config.tile_k * 4 * vectors_per_column(descriptor.mask_form);
  constexpr int kWalk = 2 * 64 * 4 + 32;  // two halves of 64 tile numbers, and what they are made of
  constexpr int kNotes = 32;
  return config.tile_q * widest + ring + bounds + kWalk + kNotes;
}

/// The same of a forward kernel that multiplies with wgmma: slots of query tiles (later the output), of key and of
/// value tiles, of a mask's intervals, notes and mbarriers.
inline int forward_sm90_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int width_qk = 2 * padded_head_dim(descriptor.head_dim_qk);
  const int width_v = 2 * padded_head_dim(descriptor.head_dim_v);
  const int query = config.tile_q * (width_qk > width_v ? width_qk : width_v);
  const int vectors = vectors_per_column(descriptor.mask_form);
  const int lists = vectors == 4 ? 3 : descriptor.mask_form == MaskForm::kC2 ? 2 : 1;
  constexpr int kSlotMbarriers = 16;
  const int intervals = vectors == 0 ? 0 : 2 * (lists * config.tile_k * 4 + 16 + kSlotMbarriers);
  return config.query_slots * (query + 16 + kSlotMbarriers) +
         config.stages * (config.tile_k * (width_qk + width_v) + 2 * kSlotMbarriers) + (config.stages + 1) / 2 * 8 +
         intervals;
}

/// Registers of a thread that feeds the others, and of one that multiplies. What the launch gives all warpgroups alike
/// (168 for three of them, 128 for four) is shared out anew: what one takes another must have given up.
struct RegisterShares {
  int producer;
  int consumer;
};
inline RegisterShares register_shares(const KernelDescriptor& descriptor, const TileConfig& config) {
  if (config.warps == 12) return {32, 160};
  // One warpgroup that multiplies begins with as many as a thread can have, and takes no fewer.
  if (config.warps == 4) return {56, 256};
  // Vectors make the producer's work, preparing masks and walking plans, take more.
  return vectors_per_column(descriptor.mask_form) > 0 ? RegisterShares{40, 232} : RegisterShares{24, 240};
}

}  // namespace flashmask::generator
