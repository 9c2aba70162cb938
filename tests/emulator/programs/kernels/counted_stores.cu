// st.async: stores that an mbarrier of another CTA counts.
#include "cluster.cuh"
#include "program.cuh"

/// Stores that count as bytes of an mbarrier in the other CTA.
template <int kFault>
__global__ void counted_stores(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[32];
  __shared__ Mbarrier barrier;
  const unsigned rank = rank_in_cluster(), at = 32 * blockIdx.x + threadIdx.x;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    // Fault 2: half of the bytes are expected.
    mbarrier_expect(&barrier, kFault == 2 ? sizeof row / 2 : sizeof row);
  }
  cluster_arrive();
  cluster_wait();
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(
                   address_in(&row[threadIdx.x], rank ^ 1)),
               "r"(in[at]), "r"(address_in(&barrier, rank ^ 1))
               : "memory");
  if constexpr (kFault != 1) mbarrier_wait_cluster(&barrier, 0);
  out[at] = row[31 - threadIdx.x];
  cluster_arrive();
  cluster_wait();
}
