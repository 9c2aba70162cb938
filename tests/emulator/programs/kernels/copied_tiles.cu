// Tensor copies that feed wgmma.
#include "program.cuh"
#include "wgmma.cuh"

/// Keeps the compiler from moving sums between registers behind this point.
template <int kCount>
__device__ inline void settle(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

__device__ inline void tile_load(void* to, const TensorMap& map, int x, int y, Mbarrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
      "[%4];" ::"r"(shared_address(to)),
      "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier))
      : "memory");
}

/// What a Hopper kernel is made of: one thread copies tiles of A (64 x 256) and B (64 x 256, by columns) into two
/// stages, a warpgroup multiplies them.
template <int kFault>
__global__ void copied_and_multiplied(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                                      const unsigned*, const unsigned*, float* out) {
  using Tile = TileLayout<64, 128, false>;
  __shared__ alignas(1024) unsigned char a_ring[2][64 * 128], b_ring[2][64 * 128];
  __shared__ Mbarrier full[2], empty[2];
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < 2; ++i) {
      mbarrier_init(&full[i], 1);
      mbarrier_init(&empty[i], 128);
    }
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x != 128) return;
    for (unsigned step = 0; step < 4; ++step) {
      const unsigned stage = step % 2;
      if constexpr (kFault != 1) mbarrier_wait(&empty[stage], (step / 2 + 1) % 2);
      mbarrier_expect(&full[stage], kFault == 4 ? sizeof a_ring[0] : sizeof a_ring[0] + sizeof b_ring[0]);
      tile_load(a_ring[stage], a, 64 * step, 0, &full[stage]);
      tile_load(b_ring[stage], b, 64 * step, 0, &full[stage]);
    }
    return;
  }
  float d[32] = {};
#pragma unroll
  for (unsigned step = 0; step < 4; ++step) {
    const unsigned stage = step % 2;
    if constexpr (kFault != 2) mbarrier_wait(&full[stage], step / 2 % 2);
    settle(d);
    wgmma_fence();
#pragma unroll
    for (unsigned k = 0; k < 64; k += 16) {
      multiply_shared<kF16, 64, false, false>(d, Tile::descriptor<false>(a_ring[stage], k),
                                              Tile::descriptor<false>(b_ring[stage], k));
    }
    wgmma_commit();
    // The stage belongs to the product until the wait.
    if constexpr (kFault == 3) mbarrier_arrive(&empty[stage]);
    wgmma_wait();
    if constexpr (kFault != 3) mbarrier_arrive(&empty[stage]);
  }
  for_each_sum<64>([&](unsigned i, unsigned at) { out[at] = d[i]; });
}
