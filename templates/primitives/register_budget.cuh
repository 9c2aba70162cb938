#pragma once

namespace flashmask {

// Registers pass from one warpgroup to another: all warps of a warpgroup call these, with a multiple of 8 from 24 to
// 256. What all have together must be there.

template <int kRegisters>
__device__ __forceinline__ void give_up_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace flashmask
