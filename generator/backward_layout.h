#pragma once

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask::generator {

/// Threads of a CTA of the two kernels around the main one.
inline constexpr int kBackwardPrepareThreads = 256;
inline constexpr int kBackwardFinishThreads = 128;

/// Dynamic shared memory of the main backward kernel: keys, values, the ring of query tiles with dO, row terms and mask
/// bounds, the exchanged scores, the walk's list, the ticket. The template asserts that it agrees.
int backward_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config);

/// Accumulators of a thread: its part of dK and dV, and of the scores and their gradients that it holds at a time.
int backward_accumulator_registers(const KernelDescriptor& descriptor, const TileConfig& config);
/// Rows whose scores, and their gradients, a warp of the main kernel holds at a time: 16, 32 or 64, as many as leave
/// the compiler registers.
int backward_pass_rows(const KernelDescriptor& descriptor, const TileConfig& config);

/// Dynamic shared memory of the main backward kernel that multiplies with wgmma: keys, values, the slots of query
/// tiles, of dO and of row terms, the exchanged scores, sums of dQ on their way, notes and mbarriers.
int backward_sm90_shared_bytes(const KernelDescriptor& descriptor, const TileConfig& config);
/// Whether there is room for sums of dQ, which then go to global memory in bulk.
bool stages_query_sums(const KernelDescriptor& descriptor, const TileConfig& config);

/// How many warps add to a tile of dQ, each in its own turn.
int turns_of_row_tile(const KernelDescriptor& descriptor, const TileConfig& config);

/// Whether reductions of four floats at a time exist on the target; sums then lie in another order.
bool has_vector_reductions(const Target& target);

}  // namespace flashmask::generator
