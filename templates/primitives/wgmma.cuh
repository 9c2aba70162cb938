#pragma once

#include "accumulator_tile.cuh"
#include "warpgroup_product.cuh"

namespace flashmask {

// Products of a warpgroup (wgmma) run asynchronously, in groups: begin, products, commit, wait.

/// Before the first product of a group: orders the registers that it reads and writes behind what this thread did with
/// them.
__device__ __forceinline__ void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Keeps the compiler from moving reads and writes of accumulators across this place.
template <int kRowBlocks, int kColumnBlocks>
__device__ __forceinline__ void pin(AccumulatorTile<kRowBlocks, kColumnBlocks>& tile) {
#pragma unroll
  for (auto& row : tile.block)
#pragma unroll
    for (Accumulator& accumulator : row)
#pragma unroll
      for (float& x : accumulator.at) asm volatile("" : "+f"(x)::"memory");
}

/// Waits until at most `kPending` groups are under way; `tile` is what the others computed.
template <int kPending, class Tile>
__device__ __forceinline__ void wait_products(Tile& tile) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
  pin(tile);
}

}  // namespace flashmask
