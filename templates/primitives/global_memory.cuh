#pragma once

namespace flashmask {

// Reads of global memory that the kernel does not write are made anew at every call: the value then lives in no
// register in between.

__device__ __forceinline__ uint2 load_global_8(const void* address) {
  uint2 value;
  asm volatile("ld.global.nc.v2.b32 {%0, %1}, [%2];" : "=r"(value.x), "=r"(value.y) : "l"(address));
  return value;
}

__device__ __forceinline__ uint4 load_global_16(const void* address) {
  uint4 value;
  asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(address));
  return value;
}

__device__ __forceinline__ void load_global(int (&out)[1], const int* address) {
  asm volatile("ld.global.nc.b32 %0, [%1];" : "=r"(out[0]) : "l"(address));
}
__device__ __forceinline__ void load_global(int (&out)[2], const int* address) {
  asm volatile("ld.global.nc.v2.b32 {%0, %1}, [%2];" : "=r"(out[0]), "=r"(out[1]) : "l"(address));
}
__device__ __forceinline__ void load_global(int (&out)[4], const int* address) {
  asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "l"(address));
}

/// Adds 1 to a count, in one step for the whole GPU, and returns what it was.
__device__ __forceinline__ unsigned take_ticket(unsigned* address) {
  unsigned ticket;
  asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], 1;" : "=r"(ticket) : "l"(address) : "memory");
  return ticket;
}

// Numbers that are added to memory; nothing comes back. From concurrently running CTAs, each addition is one step. In
// turn, where acquired and released turns keep those of other CTAs apart, only threads of the CTA are reckoned with.

template <bool kInTurn>
__device__ __forceinline__ void reduce_add(float* address, float value) {
  if constexpr (kInTurn) {
    asm volatile("red.relaxed.cta.global.add.f32 [%0], %1;" ::"l"(address), "f"(value) : "memory");
  } else {
    asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(address), "f"(value) : "memory");
  }
}

/// Four neighbours, each by itself; from sm_90 on.
template <bool kInTurn>
__device__ __forceinline__ void reduce_add(float* address, const float (&value)[4]) {
  if constexpr (kInTurn) {
    asm volatile("red.relaxed.cta.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(value[0]),
                 "f"(value[1]), "f"(value[2]), "f"(value[3])
                 : "memory");
  } else {
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(value[0]),
                 "f"(value[1]), "f"(value[2]), "f"(value[3])
                 : "memory");
  }
}

/// Adds to a count; all that this thread did, and all that it knows of, is seen by whoever acquires the sum.
__device__ __forceinline__ void reduce_add_release(unsigned* address, unsigned value) {
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

__device__ __forceinline__ unsigned load_acquire(const unsigned* address) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}

}  // namespace flashmask
