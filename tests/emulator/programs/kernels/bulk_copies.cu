// Bulk copies between global and shared memory.
#include <cuda/barrier>
#include <cuda/ptx>

#include "program.cuh"

__device__ inline void bulk_load(void* to, const void* from, unsigned bytes, Mbarrier* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}
__device__ inline void bulk_store(void* to, const void* from, unsigned bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(to)),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
}
__device__ inline void bulk_add(void* to, const void* from, unsigned bytes) {
  asm volatile(
      "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(to)),
      "r"(shared_address(from)), "r"(bytes)
      : "memory");
}
__device__ inline void bulk_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
__device__ inline void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
__device__ inline void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// One copy into a row that the threads have written before.
template <int kFault>
__global__ void bulk_in(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[128];
  __shared__ Mbarrier barrier;
  row[threadIdx.x] = threadIdx.x;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
  }
  if constexpr (kFault != 4) fence_proxy_async();
  if constexpr (kFault != 3) __syncthreads();
  if (threadIdx.x == 0) {
    // Bytes that nobody expects do not hold the phase open.
    mbarrier_expect(&barrier, kFault == 2 ? sizeof row / 2 : sizeof row);
    bulk_load(&row[0], &in[0], sizeof row / 2, &barrier);
    bulk_load(&row[64], &in[64], sizeof row / 2, &barrier);
  }
  if constexpr (kFault != 1) mbarrier_wait(&barrier, 0);
  out[threadIdx.x] = row[127 - threadIdx.x];
}

/// One thread loads, a warp consumes, through two stages.
template <int kFault>
__global__ void bulk_ring(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned ring[2][64];
  __shared__ Mbarrier full[2], empty[2];
  constexpr unsigned kSteps = 5;
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < 2; ++i) {
      mbarrier_init(&full[i], 1);
      mbarrier_init(&empty[i], 32);
    }
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 32) {
    for (unsigned step = 0; step < kSteps; ++step) {
      const unsigned stage = step % 2;
      if constexpr (kFault != 1) mbarrier_wait(&empty[stage], (step / 2 + 1) % 2);
      mbarrier_expect(&full[stage], sizeof ring[0]);
      bulk_load(ring[stage], &in[64 * step], sizeof ring[0], &full[stage]);
    }
  } else if (threadIdx.x < 32) {
    for (unsigned step = 0; step < kSteps; ++step) {
      const unsigned stage = step % 2;
      // Fault 2: as if every stage were in its first round.
      mbarrier_wait(&full[stage], kFault == 2 ? 0 : step / 2 % 2);
      const unsigned low = ring[stage][threadIdx.x], high = ring[stage][32 + threadIdx.x];
      // Fault 3: the stage is given back before it has been read.
      mbarrier_arrive(&empty[stage]);
      const unsigned late = kFault == 3 ? ring[stage][threadIdx.x] : low;
      out[64 * step + threadIdx.x] = high;
      out[64 * step + 32 + threadIdx.x] = late;
    }
  }
}

/// Stores of all threads, then one copy out; the row is used again afterwards.
template <int kFault>
__global__ void bulk_out(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[128];
  for (unsigned step = 0; step < 2; ++step) {
    row[threadIdx.x] = in[128 * step + 127 - threadIdx.x];
    if constexpr (kFault != 1) fence_proxy_async();
    if constexpr (kFault != 3) __syncthreads();
    if (threadIdx.x == 0) {
      bulk_store(&out[128 * step], row, sizeof row);
      bulk_commit();
      // The source may be written again once it has been read.
      if (kFault != 2 || step != 0) bulk_wait_read();
    }
    __syncthreads();
  }
}

/// A CTA that ends takes its shared memory along: the copy must have read it.
template <int kFault>
__global__ void bulk_last_words(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[32];
  row[threadIdx.x] = in[threadIdx.x];
  fence_proxy_async();
  __syncwarp();
  if (threadIdx.x != 0) return;
  bulk_store(out, row, sizeof row);
  bulk_commit();
  if constexpr (kFault != 1) bulk_wait_read();
}

/// Two CTAs add to the same words.
template <int kFault>
__global__ void bulk_sums(const unsigned* in, unsigned* out) {
  __shared__ alignas(128) unsigned row[64];
  row[threadIdx.x] = in[64 * blockIdx.x + threadIdx.x];
  if constexpr (kFault != 1) fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    if constexpr (kFault == 2) {
      bulk_store(out, row, sizeof row);
    } else {
      bulk_add(out, row, sizeof row);
    }
    bulk_commit();
    bulk_wait();
  }
}

/// A copy out and, by the same thread, back in: the first must be complete, not only read.
template <int kFault>
__global__ void there_and_back(const unsigned* in, unsigned* scratch, unsigned* out) {
  __shared__ alignas(128) unsigned row[64], other[64];
  __shared__ Mbarrier barrier;
  row[threadIdx.x] = in[63 - threadIdx.x];
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
  }
  fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    bulk_store(scratch, row, sizeof row);
    bulk_commit();
    if constexpr (kFault == 1) {
      bulk_wait_read();
    } else {
      bulk_wait();
    }
    mbarrier_expect(&barrier, sizeof other);
    bulk_load(other, scratch, sizeof other, &barrier);
  }
  mbarrier_wait(&barrier, 0);
  out[threadIdx.x] = other[threadIdx.x];
}

/// The same copy as the C++ library spells it.
template <int kFault>
__global__ void library_bulk(const unsigned* in, unsigned* out) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ alignas(16) unsigned row[64];
  __shared__ Barrier barrier;
  if (threadIdx.x == 0) {
    init(&barrier, 64);
    cuda::ptx::fence_proxy_async(cuda::ptx::space_shared);
  }
  __syncthreads();
  Barrier::arrival_token token;
  if (threadIdx.x == 0) {
    cuda::device::memcpy_async_tx(row, in, cuda::aligned_size_t<16>(sizeof row), barrier);
    // The bytes belong to the phase only if its arrival names them.
    token = kFault == 2 ? barrier.arrive() : cuda::device::barrier_arrive_tx(barrier, 1, sizeof row);
  } else {
    token = barrier.arrive();
  }
  if constexpr (kFault != 1) barrier.wait(cuda::std::move(token));
  out[threadIdx.x] = row[63 - threadIdx.x];
}

/// The instructions by their names in cuda::ptx.
template <int kFault>
__global__ void named_instructions(const unsigned* in, unsigned* out) {
  namespace ptx = cuda::ptx;
  __shared__ alignas(128) unsigned row[64];
  __shared__ cuda::std::uint64_t barrier;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &barrier, sizeof row);
    ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, row, in, sizeof row, &barrier);
  }
  while (!ptx::mbarrier_try_wait_parity(&barrier, 0)) {
  }
  row[threadIdx.x] += threadIdx.x;
  if constexpr (kFault != 1) ptx::fence_proxy_async(ptx::space_shared);
  if constexpr (kFault != 2) __syncthreads();
  if (threadIdx.x == 0) {
    ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, out, row, sizeof row);
    ptx::cp_async_bulk_commit_group();
    ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
  }
}
