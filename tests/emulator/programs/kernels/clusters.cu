// Clusters of CTAs: shared memory of neighbours, barriers and mbarriers across CTAs.
#include <cooperative_groups.h>

#include "cluster.cuh"
#include "program.cuh"

namespace cg = cooperative_groups;

/// Every CTA reads the row of the next one.
template <int kFault>
__global__ void neighbours(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[32];
  const auto cluster = cg::this_cluster();
  const unsigned rank = cluster.block_rank(), at = 32 * blockIdx.x + threadIdx.x;
  row[threadIdx.x] = in[at];
  if constexpr (kFault != 1) cluster.sync();
  const unsigned* other = cluster.map_shared_rank(row, (rank + 1) % cluster.num_blocks());
  out[at] = other[31 - threadIdx.x];
  // Memory of a CTA that has ended is nobody's.
  if constexpr (kFault != 2) cluster.sync();
}

/// The cluster's barrier in two halves.
template <int kFault>
__global__ void split_cluster_barrier(const unsigned* in, unsigned* out) {
  __shared__ unsigned row[32];
  const unsigned rank = rank_in_cluster(), at = 32 * blockIdx.x + threadIdx.x;
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(address_in(&row[threadIdx.x], rank ^ 1)), "r"(in[at])
               : "memory");
  if constexpr (kFault == 1) {
    cluster_arrive_relaxed();
  } else {
    cluster_arrive();
  }
  if constexpr (kFault == 2) {
    // An own word of the own row: it comes from the neighbour.
    out[at] = row[31 - threadIdx.x];
    cluster_wait();
  } else {
    cluster_wait();
    out[at] = row[31 - threadIdx.x];
  }
}

/// All CTAs store to the first one and arrive at its mbarrier.
template <int kFault>
__global__ void remote_arrivals(const unsigned* in, unsigned* out) {
  __shared__ unsigned rows[2][32];
  __shared__ Mbarrier barrier;
  const unsigned rank = rank_in_cluster();
  if (rank == 0 && threadIdx.x == 0) {
    mbarrier_init(&barrier, 64);
    fence_mbarrier_init();
  }
  if constexpr (kFault != 3) {
    cluster_arrive();
    cluster_wait();
  }
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(address_in(&rows[rank][threadIdx.x], 0)),
               "r"(in[32 * rank + threadIdx.x])
               : "memory");
  const unsigned remote = address_in(&barrier, 0);
  if constexpr (kFault == 2) {
    asm volatile("mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%0];" ::"r"(remote) : "memory");
  } else {
    asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(remote) : "memory");
  }
  if (rank == 0) {
    if constexpr (kFault != 1) mbarrier_wait_cluster(&barrier, 0);
    out[threadIdx.x] = rows[0][31 - threadIdx.x];
    out[32 + threadIdx.x] = rows[1][31 - threadIdx.x];
  }
  if constexpr (kFault == 3) {
    cluster_arrive();
    cluster_wait();
  }
}

/// One copy for both CTAs: each gets the bytes, and each mbarrier its own count of them.
template <int kFault>
__global__ void multicast(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[64];
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    mbarrier_expect(&barrier, sizeof row);
  }
  __syncthreads();
  // The other CTA's mbarrier must be there before the copy may signal it.
  if constexpr (kFault != 1) {
    cluster_arrive();
    cluster_wait();
  }
  if (rank_in_cluster() == 0 && threadIdx.x == 0) {
    const unsigned short mask = kFault == 2 ? 1 : 3;
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], "
        "%4;" ::"r"(shared_address(row)),
        "l"(__cvta_generic_to_global(in)), "r"(static_cast<unsigned>(sizeof row)), "r"(shared_address(&barrier)),
        "h"(mask)
        : "memory");
  }
  if constexpr (kFault != 3) mbarrier_wait(&barrier, 0);
  out[64 * blockIdx.x + threadIdx.x] = row[63 - threadIdx.x] + blockIdx.x;
  cluster_arrive();
  cluster_wait();
}

/// A bulk copy from the shared memory of one CTA to that of the other.
template <int kFault>
__global__ void shared_to_shared(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[64], arrived[64];
  __shared__ Mbarrier barrier;
  const unsigned rank = rank_in_cluster(), at = 64 * blockIdx.x + threadIdx.x;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    mbarrier_expect(&barrier, sizeof arrived);
  }
  row[threadIdx.x] = in[at];
  if constexpr (kFault != 1) fence_proxy_async();
  cluster_arrive();
  cluster_wait();
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     address_in(arrived, rank ^ 1)),
                 "r"(shared_address(row)), "r"(static_cast<unsigned>(sizeof row)), "r"(address_in(&barrier, rank ^ 1))
                 : "memory");
  }
  if constexpr (kFault != 2) mbarrier_wait_cluster(&barrier, 0);
  out[at] = arrived[63 - threadIdx.x];
  cluster_arrive();
  cluster_wait();
}

/// One warpgroup gives registers away, two take them: together no more than the CTA was started with.
template <int kFault>
__global__ void __launch_bounds__(384, 1) register_budget(const unsigned* in, unsigned* out) {
  // 168 registers a thread to begin with; 24 + 2 * 240 are as many.
  if (threadIdx.x < 128) {
    if constexpr (kFault != 1) asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    out[threadIdx.x] = in[threadIdx.x];
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    out[threadIdx.x] = 3 * in[threadIdx.x];
  }
}
