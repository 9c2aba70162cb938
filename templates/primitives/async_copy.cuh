#pragma once

namespace flashmask {

/// Copies 16 bytes from global to shared memory without a register in between, past L1. The bytes from `available` (0
/// to 16) on are zeros; with 0 the source is not read at all, so its address may lie anywhere.
__device__ __forceinline__ void copy_16_async(unsigned destination, const void* source, int available) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(destination), "l"(source), "r"(available)
               : "memory");
}

/// The same for 4, 8 or 16 bytes, through L1.
template <int kBytes>
__device__ __forceinline__ void copy_small_async(unsigned destination, const void* source, int available) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(destination), "l"(source), "n"(kBytes),
               "r"(available)
               : "memory");
}

/// Closes the group of this thread's copies since the last call; an empty group is complete at once.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most `kPending` of this thread's groups are still under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace flashmask
