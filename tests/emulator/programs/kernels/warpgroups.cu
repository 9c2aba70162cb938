// wgmma: the layouts of tiles in shared memory, and what a warpgroup waits for.
#include "program.cuh"
#include "wgmma.cuh"

/// Sums of lane 4g + t of warp w: rows 16w + g and 16w + g + 8, columns 8j + 2t and 8j + 2t + 1.
template <int kN, class Function>
__device__ inline void for_each_sum(Function function) {
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane / 4;
  for (unsigned i = 0; i < kN / 2; ++i) function(i, (row + i % 4 / 2 * 8) * kN + i / 4 * 8 + lane % 4 * 2 + i % 2);
}

/// D = A B + C with A 64 x 64 by rows, B 64 x kN by columns, C and D 64 x kN by rows. The tiles are written to shared
/// memory element by element, then multiplied in four slices.
template <Type kType, int kN, int kSpan, bool kMnA, bool kMnB, int kFault>
__global__ void tiles_multiplied(const unsigned short* a, const unsigned short* b, const float* c, float* out) {
  using A = TileLayout<64, kSpan, kMnA>;
  using B = TileLayout<kN, kSpan, kMnB>;
  __shared__ alignas(1024) unsigned char a_tile[64 * 128], b_tile[kN * 128];
  for (unsigned i = threadIdx.x; i < 64 * 64; i += 128) {
    *reinterpret_cast<unsigned short*>(&a_tile[A::offset(i / 64, i % 64)]) = a[i];
  }
  for (unsigned i = threadIdx.x; i < kN * 64; i += 128) {
    *reinterpret_cast<unsigned short*>(&b_tile[B::offset(i / 64, i % 64)]) = b[i];
  }
  if constexpr (kFault != 4) fence_proxy_async();
  if constexpr (kFault != 5) __syncthreads();
  float d[kN / 2];
  for_each_sum<kN>([&](unsigned i, unsigned at) { d[i] = c[at]; });
  if constexpr (kFault != 2) wgmma_fence();
#pragma unroll
  for (unsigned k = 0; k < 64; k += 16) {
    // Fault 1: the strides change places, or another swizzle.
    multiply_shared<kType, kN, kMnA, kMnB>(d, A::template descriptor<kFault == 1>(a_tile, k),
                                           B::template descriptor<false>(b_tile, k));
  }
  wgmma_commit();
  if constexpr (kFault != 3) wgmma_wait();
  for_each_sum<kN>([&](unsigned i, unsigned at) { out[at] = d[i]; });
  if constexpr (kFault == 3) wgmma_wait();
}

/// The same with A in registers.
template <Type kType, int kSpan, bool kMnB, int kFault>
__global__ void registers_multiplied(const unsigned* a, const unsigned short* b, const float* c, float* out) {
  constexpr int kN = 64;
  using B = TileLayout<kN, kSpan, kMnB>;
  __shared__ alignas(1024) unsigned char b_tile[kN * 128];
  for (unsigned i = threadIdx.x; i < kN * 64; i += 128) {
    *reinterpret_cast<unsigned short*>(&b_tile[B::offset(i / 64, i % 64)]) = b[i];
  }
  fence_proxy_async();
  __syncthreads();
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
  unsigned fragments[4][4];
#pragma unroll
  for (unsigned slice = 0; slice < 4; ++slice) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      fragments[slice][i] = a[32 * (row + i % 2 * 8) + 8 * slice + i / 2 * 4 + lane % 4];
    }
  }
  float d[kN / 2];
  for_each_sum<kN>([&](unsigned i, unsigned at) { d[i] = c[at]; });
  if constexpr (kFault != 2) wgmma_fence();
#pragma unroll
  for (unsigned slice = 0; slice < 4; ++slice) {
    multiply_registers<kType, kN, kMnB>(d, fragments[slice], B::template descriptor<kFault == 1>(b_tile, 16 * slice));
  }
  wgmma_commit();
  wgmma_wait();
  for_each_sum<kN>([&](unsigned i, unsigned at) { out[at] = d[i]; });
}

/// Keeps the compiler from moving sums between registers behind this point.
template <int kCount>
__device__ inline void settle(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

__device__ inline void tile_load(void* to, const TensorMap& map, int x, int y, Mbarrier* barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
               "[%4];" ::"r"(shared_address(to)),
               "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier))
               : "memory");
}

/// What a Hopper kernel is made of: one thread copies tiles of A (64 x 256) and B (64 x 256, by columns) into two stages,
/// a warpgroup multiplies them.
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
