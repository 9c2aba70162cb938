// wgmma: the layouts of tiles in shared memory, and what a warpgroup waits for.
#include "program.cuh"
#include "wgmma.cuh"

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
    multiply_shared<kType, kN, kMnA, kMnB>(d, A::template descriptor < kFault == 1 > (a_tile, k),
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
    multiply_registers<kType, kN, kMnB>(d, fragments[slice],
                                        B::template descriptor < kFault == 1 > (b_tile, 16 * slice));
  }
  wgmma_commit();
  wgmma_wait();
  for_each_sum<kN>([&](unsigned i, unsigned at) { out[at] = d[i]; });
}
