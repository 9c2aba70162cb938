// Programs of one warp: lanes that exchange through shared memory, shuffles and votes.
#include "program.cuh"

/// Lanes take their neighbour's word, three times over.
template <int kFault>
__global__ void rotated(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[32];
  const unsigned lane = threadIdx.x;
  unsigned value = in[lane];
  for (unsigned i = 0; i < 3; ++i) {
    row[lane] = value;
    if constexpr (kFault != 1) __syncwarp();
    value = row[(lane + 1) % 32];
    if constexpr (kFault != 2) __syncwarp();
  }
  out[lane] = value;
}

/// The tail of an old reduction, which trusted that the lanes of a warp run in step.
template <int kFault>
__global__ void warp_tail(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  unsigned* sums = row;
  const unsigned lane = threadIdx.x;
  sums[lane] = in[lane];
  sums[lane + 32] = in[lane + 32];
  for (unsigned half = 32; half > 0; half /= 2) {
    const unsigned sum = sums[lane] + sums[lane + half];
    if constexpr (kFault == 0) __syncwarp();
    sums[lane] = sum;
    if constexpr (kFault == 0) __syncwarp();
  }
  if (lane == 0) out[0] = sums[0];
}

/// The halves of a warp go different ways and meet by masks of their own.
template <int kFault>
__global__ void halves(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[32];
  const unsigned lane = threadIdx.x;
  row[lane] = in[lane];
  if (lane < 16) {
    // A mask of lanes that never come here.
    if constexpr (kFault == 1) {
      __syncwarp(0xffffffffu);
    } else if constexpr (kFault != 2) {
      __syncwarp(0x0000ffffu);
    }
    out[lane] = row[15 - lane] + 1;
  } else {
    __syncwarp(0xffff0000u);
    out[lane] = row[47 - lane] + 2;
  }
}

/// Lanes with equal keys: their number, and the sum that their first lane makes.
template <int kFault>
__global__ void matched(const unsigned* in, unsigned* out) {
  const unsigned lane = threadIdx.x, key = in[lane] % 5;
  const unsigned peers = __match_any_sync(~0u, key);
  // The peers of a key, not of the warp.
  const unsigned leader = __ffs(kFault == 1 ? __activemask() : peers) - 1;
  const unsigned sum = __reduce_add_sync(peers, in[lane]);
  out[lane] = __shfl_sync(~0u, sum, leader) + __popc(peers);
}

/// A sum over lanes that agree about who takes part.
template <int kFault>
__global__ void reduced(const unsigned* in, unsigned* out) {
  const unsigned lane = threadIdx.x;
  out[lane] = 0;
  if (lane % 4 == 3) return;
  unsigned mask = 0x77777777u;
  // Lane 3 has left; lane 0 does not count itself.
  if constexpr (kFault == 1) mask = 0x7777777fu;
  if constexpr (kFault == 2) mask = 0x77777776u;
  const unsigned sum = __reduce_add_sync(mask, in[lane]);
  const unsigned least = __reduce_min_sync(mask, in[lane]);
  const unsigned parity = __reduce_xor_sync(mask, in[lane]);
  out[lane] = sum ^ least ^ parity;
}

/// A sum by butterflies; all lanes stay until the last.
template <int kFault>
__global__ void butterfly(const unsigned* in, unsigned* out) {
  unsigned sum = in[threadIdx.x];
  for (unsigned distance = 16; distance > 0; distance /= 2) {
    if constexpr (kFault == 1) {
      // Only the lower half asks; the others are not there to answer.
      if (threadIdx.x < 16) sum += __shfl_xor_sync(~0u, sum, distance);
    } else {
      sum += __shfl_xor_sync(~0u, sum, distance);
    }
  }
  out[threadIdx.x] = sum;
}

/// Keeps the odd values, in order.
template <int kFault>
__global__ void compacted(const unsigned* in, unsigned* out) {
  const unsigned lane = threadIdx.x, value = in[lane];
  const unsigned odd = __ballot_sync(~0u, value & 1);
  const unsigned before = __popc(odd & ((1u << lane) - 1));
  const unsigned place = (value & 1) ? before : __popc(odd) + lane - before;
  // Places of lanes that follow: two lanes then write to one place.
  out[kFault == 1 ? (place & ~1u) : place] = value;
  if constexpr (kFault == 1) out[place | 1] = value;
}

/// Segments of 8 lanes shift up and down within their bounds.
template <int kFault>
__global__ void segments(const unsigned* in, unsigned* out) {
  constexpr int kWidth = kFault == 1 ? 32 : 8;
  const unsigned value = in[threadIdx.x];
  const unsigned below = __shfl_up_sync(~0u, value, 3, kWidth);
  const unsigned above = __shfl_down_sync(~0u, value, 2, kWidth);
  const unsigned first = __shfl_sync(~0u, value, 0, kWidth);
  out[threadIdx.x] = below ^ (above * 3) ^ (first * 5);
}
