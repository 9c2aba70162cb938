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

/// Adds to a number in memory, in one step with regard to all other threads; nothing comes back.
__device__ __forceinline__ void reduce_add(float* address, float value) {
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(address), "f"(value) : "memory");
}

/// The same for four neighbours, each by itself; from sm_90 on.
__device__ __forceinline__ void reduce_add(float* address, const float (&value)[4]) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(value[0]), "f"(value[1]),
               "f"(value[2]), "f"(value[3])
               : "memory");
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
