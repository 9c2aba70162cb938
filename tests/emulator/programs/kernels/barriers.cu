// Programs that meet at barriers of the CTA, and what they share there.
#include "program.cuh"

/// Thread i takes what thread n - 1 - i has stored.
template <int kFault>
__global__ void reversed(const unsigned* in, unsigned* out) {
  __shared__ unsigned block[128];
  block[threadIdx.x] = in[threadIdx.x];
  if constexpr (kFault != 1) __syncthreads();
  out[threadIdx.x] = block[127 - threadIdx.x];
}

/// A sum by halves; the barrier stands outside of the branch.
template <int kFault>
__global__ void tree_sum(const unsigned* in, unsigned* out) {
  __shared__ unsigned block[128];
  block[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned half = 64; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      block[threadIdx.x] += block[threadIdx.x + half];
      // Threads that have left the loop's branch never come to this one.
      if constexpr (kFault == 2) barrier_aligned();
    }
    if constexpr (kFault == 0) __syncthreads();
  }
  if (threadIdx.x == 0) out[0] = block[0];
}

/// Two tiles of 16 x 16 through one padded buffer.
template <int kFault>
__global__ void transposed(const unsigned* in, unsigned* out) {
  __shared__ unsigned tile[16][17];
  const unsigned x = threadIdx.x % 16, y = threadIdx.x / 16;
  for (unsigned i = 0; i < 2; ++i) {
    tile[y][x] = in[256 * i + threadIdx.x];
    if constexpr (kFault != 1) __syncthreads();
    out[256 * i + threadIdx.x] = tile[x][y];
    // The next tile may not overwrite this one before everybody has read it.
    if constexpr (kFault != 2) __syncthreads();
  }
}

/// Each step is the sum of both neighbours, from one buffer into the other.
template <int kFault>
__global__ void two_buffers(const unsigned* in, unsigned* out) {
  __shared__ unsigned rows[2][96];
  const unsigned left = (threadIdx.x + 95) % 96, right = (threadIdx.x + 1) % 96;
  rows[0][threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned step = 0; step < 4; ++step) {
    // In place: some neighbours are of the step before, some are not.
    const unsigned to = kFault == 2 ? step % 2 : (step + 1) % 2;
    const unsigned sum = rows[step % 2][left] + rows[step % 2][right];
    rows[to][threadIdx.x] = sum;
    if constexpr (kFault == 2) {
      __syncthreads();
      rows[(step + 1) % 2][threadIdx.x] = rows[step % 2][threadIdx.x];
    }
    if constexpr (kFault != 1) __syncthreads();
  }
  out[threadIdx.x] = rows[0][threadIdx.x];
}

/// One warp fills a buffer, three empty it. Barrier 1: full, barrier 2: empty.
template <int kFault>
__global__ void ordered_roles(const unsigned* in, unsigned* out) {
  __shared__ unsigned buffer[32];
  constexpr unsigned kSteps = 4;
  // With 96 the barrier completes before the last consumer has arrived, and the next phase begins with that one.
  constexpr unsigned kThreads = 128;
  if (threadIdx.x < 32) {
    for (unsigned step = 0; step < kSteps; ++step) {
      if (kFault != 1 && step > 0) barrier_sync(2, kThreads);
      buffer[threadIdx.x] = in[32 * step + threadIdx.x];
      barrier_arrive(1, kThreads);
    }
    return;
  }
  unsigned sum = 0;
  for (unsigned step = 0; step < kSteps; ++step) {
    if constexpr (kFault == 2) {
      // An arrival only: it does not wait for the buffer to be full.
      barrier_arrive(1, kThreads);
    } else {
      barrier_sync(1, kThreads);
    }
    sum += buffer[(threadIdx.x + step) % 32];
    if (kFault == 3 && step + 1 < kSteps && threadIdx.x >= 96) continue;
    if (kFault != 1 && step + 1 < kSteps) barrier_arrive(2, kThreads);
  }
  out[threadIdx.x - 32] = sum;
}

/// Everybody's predicates, counted by the barrier itself.
template <int kFault>
__global__ void counted_votes(const unsigned* in, unsigned* out) {
  const unsigned value = in[threadIdx.x];
  int odd, any, all;
  if constexpr (kFault == 1) {
    // A warp's votes are not the CTA's.
    odd = __popc(__ballot_sync(~0u, value & 1));
    any = __any_sync(~0u, value > 0xf0000000u);
    all = __all_sync(~0u, value != 0);
  } else {
    odd = __syncthreads_count(value & 1);
    any = __syncthreads_or(value > 0xf0000000u);
    all = __syncthreads_and(value != 0);
  }
  out[threadIdx.x] = odd << 2 | (any != 0) << 1 | (all != 0);
}

/// Sixteen bins, counted by atomics of shared memory.
template <int kFault>
__global__ void counted_bins(const unsigned* in, unsigned* out) {
  __shared__ unsigned bins[16];
  if (threadIdx.x < 16) bins[threadIdx.x] = 0;
  if constexpr (kFault != 2) __syncthreads();
  for (unsigned i = threadIdx.x; i < 512; i += 128) {
    unsigned* bin = &bins[in[i] % 16];
    if constexpr (kFault == 1) {
      *bin += 1;
    } else {
      atomicAdd(bin, 1);
    }
  }
  if constexpr (kFault != 3) __syncthreads();
  if (threadIdx.x < 16) out[threadIdx.x] = bins[threadIdx.x];
}

/// Inclusive sums: shuffles in a warp, the sums of warps through shared memory.
template <int kFault>
__global__ void running_sums(const unsigned* in, unsigned* out) {
  __shared__ unsigned totals[4];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  unsigned sum = in[threadIdx.x];
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const unsigned below = __shfl_up_sync(~0u, sum, distance);
    if (lane >= distance) sum += below;
  }
  if (lane == 31) totals[warp] = sum;
  if constexpr (kFault != 1) __syncthreads();
  for (unsigned i = 0; i < warp; ++i) sum += totals[i];
  out[threadIdx.x] = sum;
}

/// Some threads leave before the barrier of the others.
template <int kFault>
__global__ void early_leavers(const unsigned* in, unsigned* out) {
  __shared__ unsigned block[128];
  block[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = 0;
  // A whole warp may leave before a barrier that it does not belong to.
  if (threadIdx.x >= 96) return;
  if constexpr (kFault == 1) {
    barrier_sync(1, 128);
  } else {
    barrier_sync(1, 96);
  }
  out[threadIdx.x] = block[95 - threadIdx.x];
}
