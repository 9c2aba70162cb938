// Programs over the groups of cooperative_groups.h.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda_pipeline.h>

#include <cuda/barrier>

#include "program.cuh"

namespace cg = cooperative_groups;

/// Eight threads reverse their words among each other and add up what they get.
template <int kFault>
__global__ void tile_sums(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  row[threadIdx.x] = in[threadIdx.x];
  if constexpr (kFault != 1) tile.sync();
  const unsigned other = row[threadIdx.x / 8 * 8 + 7 - tile.thread_rank()];
  out[threadIdx.x] = cg::reduce(tile, other * (tile.thread_rank() + 1), cg::plus<unsigned>());
}

/// A tile of two warps adds up the sums of its warps, and then those of the other tile.
template <int kFault>
__global__ void tile_of_two_warps(const unsigned* in, unsigned* out) {
  __shared__ cg::block_tile_memory<128> memory;
  __shared__ unsigned warp_sums[4], tile_sums[2];
  const auto block = cg::this_thread_block(memory);
  const auto tile = cg::tiled_partition<64>(block);
  const auto warp = cg::tiled_partition<32>(tile);
  const unsigned warp_sum = cg::reduce(warp, in[threadIdx.x], cg::plus<unsigned>());
  if (warp.thread_rank() == 0) warp_sums[threadIdx.x / 32] = warp_sum;
  if constexpr (kFault != 1) tile.sync();
  const unsigned* of_tile = warp_sums + 2 * tile.meta_group_rank();
  const unsigned sum = of_tile[0] + of_tile[1];
  if (tile.thread_rank() == 0) tile_sums[tile.meta_group_rank()] = sum;
  if constexpr (kFault == 2) {
    tile.sync();
  } else {
    block.sync();
  }
  out[threadIdx.x] = sum + 3 * tile_sums[1 - tile.meta_group_rank()];
}

/// Two tiles of two warps, each with its own barrier.
template <int kFault>
__global__ void reversed_in_two_warps(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[128];
  const auto tile = cg::tiled_partition<64>(cg::this_thread_block());
  row[threadIdx.x] = in[threadIdx.x];
  if constexpr (kFault == 1) {
    __syncwarp();
  } else {
    tile.sync();
  }
  out[threadIdx.x] = row[64 * tile.meta_group_rank() + 63 - tile.thread_rank()];
}

/// A word of one thread for all of four warps, twice.
template <int kFault>
__global__ void shown_to_four_warps(const unsigned* in, unsigned* out) {
  const auto tile = cg::tiled_partition<128>(cg::this_thread_block());
  const unsigned value = in[threadIdx.x];
  const unsigned first = tile.shfl(value, kFault == 1 ? 6 : 70);
  out[threadIdx.x] = value + 3 * tile.shfl(value + first, 5);
}

/// Whoever meets in a branch is a group.
template <int kFault>
__global__ void met_in_a_branch(const unsigned* in, unsigned* out) {
  const unsigned value = in[threadIdx.x];
  if (value % 3 == 0) {
    const auto group = cg::coalesced_threads();
    // A rank in the warp is none in the group.
    const unsigned rank = kFault == 1 ? threadIdx.x % 32 : group.thread_rank();
    out[threadIdx.x] = cg::reduce(group, value, cg::plus<unsigned>()) + rank;
  } else {
    out[threadIdx.x] = 0;
  }
}

/// One group for each label.
template <int kFault>
__global__ void labelled(const unsigned* in, unsigned* out) {
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  const unsigned value = in[threadIdx.x];
  const auto group = cg::labeled_partition(warp, kFault == 1 ? value % 2 : value % 4);
  out[threadIdx.x] = cg::reduce(group, value, cg::greater<unsigned>()) ^ group.size();
}

/// Two groups by a predicate, each shuffles within.
template <int kFault>
__global__ void two_parts(const unsigned* in, unsigned* out) {
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  const unsigned value = in[threadIdx.x];
  const auto part = cg::binary_partition(warp, value % 2 == 1);
  // The next of the part, not of the warp.
  out[threadIdx.x] = kFault == 1 ? warp.shfl(value, (warp.thread_rank() + 1) % 32)
                                 : part.shfl(value, (part.thread_rank() + 1) % part.size());
}

/// Sums before each thread, in tiles of 16.
template <int kFault>
__global__ void scanned(const unsigned* in, unsigned* out) {
  const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
  const unsigned value = in[threadIdx.x];
  out[threadIdx.x] =
      kFault == 1 ? cg::inclusive_scan(tile, value, cg::plus<unsigned>()) : cg::exclusive_scan(tile, value);
}

/// A copy by the whole block.
template <int kFault>
__global__ void block_copy(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[256];
  const auto block = cg::this_thread_block();
  cg::memcpy_async(block, row, in, cuda::aligned_size_t<16>(sizeof row));
  if constexpr (kFault == 0) cg::wait(block);
  if constexpr (kFault == 1) block.sync();
  // Each thread waits for its own copies, and reads those of others.
  if constexpr (kFault == 2) __pipeline_wait_prior(0);
  for (unsigned i = threadIdx.x; i < 256; i += 64) out[i] = row[255 - i];
}

/// The next quarter is on its way while this one is read.
template <int kFault>
__global__ void staged_copies(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned rows[2][64];
  const auto block = cg::this_thread_block();
  const cuda::aligned_size_t<16> bytes(sizeof rows[0]);
  cg::memcpy_async(block, rows[0], in, bytes);
  for (unsigned i = 0; i < 4; ++i) {
    if (i + 1 < 4) {
      cg::memcpy_async(block, rows[(i + 1) % 2], in + 64 * (i + 1), bytes);
      if constexpr (kFault == 1) {
        block.sync();
      } else {
        cg::wait_prior<1>(block);
      }
    } else {
      cg::wait(block);
    }
    out[64 * i + threadIdx.x] = rows[i % 2][63 - threadIdx.x];
    if constexpr (kFault != 2) block.sync();
  }
}

/// A barrier in two halves, with work between them.
template <int kFault>
__global__ void split_barrier(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[64];
  const auto block = cg::this_thread_block();
  row[threadIdx.x] = in[threadIdx.x];
  auto token = block.barrier_arrive();
  const unsigned own = in[threadIdx.x] * 3;
  if constexpr (kFault == 1) {
    out[threadIdx.x] = row[63 - threadIdx.x] + own;
    block.barrier_wait(std::move(token));
  } else {
    block.barrier_wait(std::move(token));
    out[threadIdx.x] = row[63 - threadIdx.x] + own;
  }
}

/// One thread of a warp does the work for all.
template <int kFault>
__global__ void invoked_once(const unsigned* in, unsigned* out) {
  __shared__ unsigned word;
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  if constexpr (kFault == 1) {
    word = in[threadIdx.x];
  } else {
    cg::invoke_one(warp, [&] { word = in[0]; });
  }
  if constexpr (kFault != 2) warp.sync();
  out[threadIdx.x] = word + warp.thread_rank();
}
