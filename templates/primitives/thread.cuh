#pragma once

namespace flashmask {

// Special registers, read anew at every call: what is needed before and after a long loop then costs an instruction
// there and no register in between.

__device__ __forceinline__ unsigned read_thread() {
  unsigned thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}

__device__ __forceinline__ unsigned read_lane() {
  unsigned lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

/// One bit for each lane below this one.
__device__ __forceinline__ unsigned read_lanes_below() {
  unsigned lanes;
  asm volatile("mov.u32 %0, %%lanemask_lt;" : "=r"(lanes));
  return lanes;
}

/// A barrier among `threads` threads, whole warps, of a CTA; `barrier`: 1 to 15, 0 being that of __syncthreads().
__device__ __forceinline__ void synchronize_threads(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// Arrives at such a barrier without waiting.
__device__ __forceinline__ void arrive_at_barrier(int barrier, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

}  // namespace flashmask
