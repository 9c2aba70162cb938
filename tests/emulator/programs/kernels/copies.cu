// Programs of cp.async: what a thread waits for, and what it still has to tell the others.
#include <cuda_pipeline.h>

#include <cuda/pipeline>

#include "program.cuh"

__device__ inline void copy16(void* to, const void* from, unsigned bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
}
__device__ inline void copy4(void* to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(to)), "l"(__cvta_generic_to_global(from))
               : "memory");
}
__device__ inline void commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kGroups>
__device__ inline void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

/// One copy, one wait, one barrier.
template <int kFault>
__global__ void one_copy(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[256];
  copy16(&row[4 * threadIdx.x], &in[4 * threadIdx.x]);
  commit();
  if constexpr (kFault == 2) {
    wait<1>();
  } else if constexpr (kFault != 1) {
    wait<0>();
  }
  if constexpr (kFault != 3) __syncthreads();
  for (unsigned i = threadIdx.x; i < 256; i += 64) out[i] = row[255 - i];
}

/// Three stages deep. Groups are committed to the end, empty ones too, so that the number waited for stays the same.
template <int kFault>
__global__ void ring_of_copies(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned ring[3][64];
  constexpr unsigned kSteps = 6;
  const unsigned at = threadIdx.x;
  for (unsigned step = 0; step < 2; ++step) {
    copy4(&ring[step][at], &in[64 * step + at]);
    commit();
  }
  for (unsigned step = 0; step < kSteps; ++step) {
    if constexpr (kFault == 1) {
      wait<2>();
    } else {
      wait<1>();
    }
    if constexpr (kFault != 2) __syncthreads();
    out[64 * step + at] = ring[step % 3][63 - at];
    const bool more = step + 2 < kSteps;
    // Without the distance of a third stage the copy lands in what others still read.
    const unsigned stage = kFault == 4 ? step % 3 : (step + 2) % 3;
    if (more) copy4(&ring[stage][at], &in[64 * (step + 2) + at]);
    if (kFault != 3 || more) commit();
  }
}

/// Rows that lie outside are zeros: the copy reads nothing of them.
template <int kFault>
__global__ void zero_filled(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[256];
  const bool inside = threadIdx.x < 50;
  const unsigned bytes = inside || kFault == 1 ? 16 : 0;
  copy16(&row[4 * threadIdx.x], &in[4 * threadIdx.x], bytes);
  commit();
  wait<0>();
  if constexpr (kFault != 2) __syncthreads();
  for (unsigned i = threadIdx.x; i < 256; i += 64) out[i] = row[i ^ 4];
}

/// The source may not change while it is read.
template <int kFault>
__global__ void source_reused(unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned row[128];
  copy16(&row[4 * threadIdx.x], &in[4 * threadIdx.x]);
  commit();
  if constexpr (kFault != 1) wait<0>();
  for (unsigned i = 0; i < 4; ++i) in[4 * threadIdx.x + i] = 0;
  if constexpr (kFault == 1) wait<0>();
  for (unsigned i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = row[4 * threadIdx.x + i];
}

/// The primitives of cuda_pipeline.h.
template <int kFault>
__global__ void pipeline_primitives(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned rows[2][64];
  const unsigned at = threadIdx.x;
  __pipeline_memcpy_async(&rows[0][at], &in[at], 4);
  __pipeline_commit();
  __pipeline_memcpy_async(&rows[1][at], &in[64 + at], 4);
  __pipeline_commit();
  __pipeline_wait_prior(kFault == 1 ? 2 : 1);
  if constexpr (kFault != 2) __syncthreads();
  const unsigned first = rows[0][63 - at];
  __pipeline_wait_prior(kFault == 3 ? 1 : 0);
  __syncthreads();
  out[at] = first + 3 * rows[1][63 - at];
}

/// cuda::pipeline of one thread: four stages in flight.
template <int kFault>
__global__ void thread_pipeline(const unsigned* in, unsigned* out) {
  __shared__ alignas(16) unsigned ring[2][128];
  auto pipeline = cuda::make_pipeline();
  const unsigned at = 4 * threadIdx.x;
  const cuda::aligned_size_t<16> bytes(16);
  const auto fill = [&](unsigned step) {
    pipeline.producer_acquire();
    cuda::memcpy_async(&ring[step % 2][at], &in[128 * step + at], bytes, pipeline);
    pipeline.producer_commit();
  };
  fill(0);
  for (unsigned step = 0; step < 4; ++step) {
    if (step + 1 < 4) fill(step + 1);
    if constexpr (kFault == 1) {
      if (step == 0) pipeline.consumer_wait();
    } else if (step + 1 < 4) {
      cuda::pipeline_consumer_wait_prior<1>(pipeline);
    } else {
      cuda::pipeline_consumer_wait_prior<0>(pipeline);
    }
    if constexpr (kFault != 2) __syncthreads();
    for (unsigned i = 0; i < 4; ++i) out[128 * step + at + i] = ring[step % 2][127 - at - i];
    pipeline.consumer_release();
    if constexpr (kFault != 3) __syncthreads();
  }
}
