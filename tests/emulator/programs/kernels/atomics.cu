// Programs that meet through global memory: counters, flags, locks.
#include <cuda/atomic>

#include "program.cuh"

__device__ inline void store_release(unsigned* flag, unsigned value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(flag)), "r"(value) : "memory");
}
__device__ inline void store_release_cta(unsigned* flag, unsigned value) {
  asm volatile("st.release.cta.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(flag)), "r"(value) : "memory");
}
__device__ inline void store_relaxed(unsigned* flag, unsigned value) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(flag)), "r"(value) : "memory");
}
__device__ inline unsigned load_acquire(const unsigned* flag) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(__cvta_generic_to_global(flag)) : "memory");
  return value;
}
__device__ inline unsigned load_relaxed(const unsigned* flag) {
  unsigned value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(__cvta_generic_to_global(flag)) : "memory");
  return value;
}

/// The CTA that takes the last ticket adds up what all have left behind.
template <int kFault>
__global__ void last_block_sum(const unsigned* in, unsigned* tickets, unsigned* partial, unsigned* out) {
  __shared__ bool is_last;
  const unsigned sum = __reduce_add_sync(~0u, in[32 * blockIdx.x + threadIdx.x]);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    if constexpr (kFault != 1) __threadfence();
    is_last = atomicAdd(tickets, 1) == gridDim.x - 1;
    if constexpr (kFault != 2) __threadfence();
  }
  __syncthreads();
  if (!is_last) return;
  const unsigned total = __reduce_add_sync(~0u, threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0);
  if (threadIdx.x == 0) out[0] = total;
}

/// One CTA writes a message and raises a flag, another waits for the flag and reads.
template <int kFault>
__global__ void message(const unsigned* in, unsigned* flag, unsigned* letter, unsigned* out) {
  if (blockIdx.x == 0) {
    letter[threadIdx.x] = in[threadIdx.x];
    if constexpr (kFault != 4) __syncthreads();
    if (threadIdx.x == 0) {
      if constexpr (kFault == 1) {
        store_relaxed(flag, 1);
      } else if constexpr (kFault == 3) {
        store_release_cta(flag, 1);
      } else {
        store_release(flag, 1);
      }
    }
    return;
  }
  if (threadIdx.x == 0) {
    if constexpr (kFault == 2) {
      while (load_relaxed(flag) == 0) {
      }
    } else {
      while (load_acquire(flag) == 0) {
      }
    }
  }
  __syncthreads();
  out[threadIdx.x] = letter[63 - threadIdx.x];
}

/// Every warp of the grid adds to one number, under a lock.
template <int kFault>
__global__ void locked_sum(const unsigned* in, unsigned* lock, unsigned* sum, unsigned* done, unsigned* out) {
  const unsigned warp = 2 * blockIdx.x + threadIdx.x / 32;
  if (threadIdx.x % 32 != 0) return;
  while (atomicCAS(lock, 0, 1) != 0) {
  }
  if constexpr (kFault != 2) __threadfence();
  *sum += in[warp];
  const unsigned total = *sum, count = *done + 1;
  *done = count;
  if constexpr (kFault != 1) __threadfence();
  if constexpr (kFault == 3) {
    *lock = 0;
  } else {
    atomicExch(lock, 0);
  }
  if (count == 4) out[0] = total;
}

/// The greatest float, by compare and swap.
template <int kFault>
__global__ void float_maximum(const float* in, unsigned* greatest, unsigned* arrived, unsigned* out) {
  const float value = in[64 * blockIdx.x + threadIdx.x];
  if constexpr (kFault == 1) {
    // Between the look and the store others may have stored.
    if (__uint_as_float(*greatest) < value) *greatest = __float_as_uint(value);
  } else {
    unsigned seen = atomicAdd(greatest, 0);
    while (__uint_as_float(seen) < value) {
      const unsigned before = atomicCAS(greatest, seen, __float_as_uint(value));
      if (before == seen) break;
      seen = before;
    }
  }
  __threadfence();
  if (atomicAdd(arrived, 1) == 127) out[0] = atomicAdd(greatest, 0);
}

/// All CTAs wait for each other by an atomic of the C++ library, then read what their neighbour has written.
template <int kFault>
__global__ void library_barrier(const unsigned* in, unsigned* count, unsigned* rows, unsigned* out) {
  constexpr auto kScope = kFault == 3 ? cuda::thread_scope_block : cuda::thread_scope_device;
  constexpr auto kArrival = kFault == 1 ? cuda::std::memory_order_relaxed : cuda::std::memory_order_acq_rel;
  constexpr auto kLook = kFault == 2 ? cuda::std::memory_order_relaxed : cuda::std::memory_order_acquire;
  rows[32 * blockIdx.x + threadIdx.x] = in[32 * blockIdx.x + threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) {
    cuda::atomic_ref<unsigned, kScope> arrivals(*count);
    arrivals.fetch_add(1, kArrival);
    while (arrivals.load(kLook) != gridDim.x) {
    }
  }
  __syncthreads();
  const unsigned neighbour = (blockIdx.x + 1) % gridDim.x;
  out[32 * blockIdx.x + threadIdx.x] = rows[32 * neighbour + threadIdx.x];
}

/// The barrier of the library before by a fence and relaxed atomics.
template <int kFault>
__global__ void fenced_message(const unsigned* in, unsigned* flag, unsigned* letter, unsigned* out) {
  cuda::atomic_ref<unsigned, cuda::thread_scope_device> raised(*flag);
  if (blockIdx.x == 0) {
    letter[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    if (threadIdx.x != 0) return;
    if constexpr (kFault != 1) cuda::atomic_thread_fence(cuda::std::memory_order_release, cuda::thread_scope_device);
    raised.store(1, cuda::std::memory_order_relaxed);
    return;
  }
  if (threadIdx.x == 0) {
    while (raised.load(cuda::std::memory_order_relaxed) == 0) {
    }
    if constexpr (kFault != 2) cuda::atomic_thread_fence(cuda::std::memory_order_acquire, cuda::thread_scope_device);
  }
  __syncthreads();
  out[threadIdx.x] = letter[threadIdx.x];
}

/// Sums over all CTAs before: each waits for its predecessor's sum and publishes its own.
template <int kFault>
__global__ void chained_sums(const unsigned* in, unsigned* flags, unsigned* sums, unsigned* out) {
  const unsigned cta = blockIdx.x;
  unsigned sum = in[32 * cta + threadIdx.x];
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const unsigned below = __shfl_up_sync(~0u, sum, distance);
    if (threadIdx.x >= distance) sum += below;
  }
  unsigned before = 0;
  if (threadIdx.x == 31) {
    if (cta > 0) {
      while (load_acquire(&flags[cta - 1]) == 0) {
      }
      before = sums[cta - 1];
    }
    // The flag promises the sum.
    if constexpr (kFault == 1) store_release(&flags[cta], 1);
    sums[cta] = before + sum;
    if constexpr (kFault != 1) store_release(&flags[cta], 1);
  }
  out[32 * cta + threadIdx.x] = __shfl_sync(~0u, before, 31) + sum;
}

/// Warps append what they keep to a list; one lane takes the places for all.
template <int kFault>
__global__ void appended(const unsigned* in, unsigned* length, unsigned* out) {
  __shared__ unsigned list[128];
  const unsigned value = in[threadIdx.x], lane = threadIdx.x % 32;
  const bool keeps = value % 3 != 0;
  const unsigned keepers = __ballot_sync(~0u, keeps);
  const unsigned leader = __ffs(keepers) - 1;
  unsigned first = 0;
  if (lane == leader) {
    if constexpr (kFault == 1) {
      first = *length;
      *length = first + __popc(keepers);
    } else {
      first = atomicAdd(length, __popc(keepers));
    }
  }
  // Without the shuffle only the leader knows where the warp's places begin.
  if constexpr (kFault != 2) first = __shfl_sync(~0u, first, leader);
  if (keeps) list[first + __popc(keepers & ((1u << lane) - 1))] = value;
  out[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x < atomicAdd(length, 0)) out[list[threadIdx.x]] = 1;
}
