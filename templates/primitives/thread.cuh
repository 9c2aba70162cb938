#pragma once

namespace flashmask {

// Special registers, read anew at every call: what is needed before and after a long loop then costs an instruction
// there and no register in between.

__device__ __forceinline__ unsigned read_block_x() {
  unsigned x;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(x));
  return x;
}

__device__ __forceinline__ unsigned read_block_y() {
  unsigned y;
  asm volatile("mov.u32 %0, %%ctaid.y;" : "=r"(y));
  return y;
}

__device__ __forceinline__ unsigned read_block_z() {
  unsigned z;
  asm volatile("mov.u32 %0, %%ctaid.z;" : "=r"(z));
  return z;
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

}  // namespace flashmask
