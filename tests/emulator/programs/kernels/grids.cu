// Cooperative grids: all CTAs wait for each other at the barrier of the grid.
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

/// Each CTA leaves a row in global memory and then reads that of the CTA opposite.
template <int kFault>
__global__ void opposite_rows(const unsigned* in, unsigned* rows, unsigned* out) {
  const auto grid = cg::this_grid();
  rows[grid.thread_rank()] = in[grid.thread_rank()] + 1;
  if constexpr (kFault == 0) grid.sync();
  // A barrier of the CTA is none of the grid.
  if constexpr (kFault == 1) __syncthreads();
  // Nor does a fence wait for anybody.
  if constexpr (kFault == 2) __threadfence();
  out[grid.thread_rank()] = rows[grid.num_threads() - 1 - grid.thread_rank()];
}

/// Each word becomes the sum of itself and its right neighbour, four times; the rows change places.
template <int kFault>
__global__ void rounds(const unsigned* in, unsigned* first, unsigned* second, unsigned* out) {
  const auto grid = cg::this_grid();
  const unsigned i = grid.thread_rank(), next = (i + 1) % grid.num_threads();
  first[i] = in[i];
  grid.sync();
  unsigned* from = first;
  unsigned* to = kFault == 1 ? first : second;
  for (unsigned round = 0; round < 4; ++round) {
    to[i] = from[i] + from[next];
    if (kFault != 2 || round != 1) grid.sync();
    unsigned* swapped = from;
    from = to;
    to = swapped;
  }
  out[i] = from[i];
}

/// The last part of a sum over the grid is done by its first CTA alone.
template <int kFault>
__global__ void sum_of_sums(const unsigned* in, unsigned* sums, unsigned* out) {
  const auto grid = cg::this_grid();
  const auto block = cg::this_thread_block();
  __shared__ unsigned sum;
  if (block.thread_rank() == 0) sum = 0;
  block.sync();
  atomicAdd(&sum, in[grid.thread_rank()]);
  block.sync();
  if (block.thread_rank() == 0) sums[blockIdx.x] = sum;
  if constexpr (kFault == 1) {
    // Its arrival is waited for by nobody.
    const auto token = grid.barrier_arrive();
    if (blockIdx.x == 0 && block.thread_rank() == 0) {
      unsigned all = 0;
      for (unsigned i = 0; i < gridDim.x; ++i) all += sums[i];
      out[0] = all;
    }
    grid.barrier_wait(cg::grid_group::arrival_token(token));
  } else {
    grid.sync();
    if (blockIdx.x == 0 && block.thread_rank() == 0) {
      unsigned all = 0;
      for (unsigned i = 0; i < gridDim.x; ++i) all += sums[i];
      out[0] = all;
    }
  }
}
