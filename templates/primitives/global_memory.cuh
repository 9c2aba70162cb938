#pragma once

namespace flashmask {

// Reads of global memory that the kernel does not write, anew at every call: the value then lives in no register in
// between.

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

}  // namespace flashmask
