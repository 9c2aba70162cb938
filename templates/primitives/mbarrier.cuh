#pragma once

namespace flashmask {

// An mbarrier is 8 bytes of shared memory, at a multiple of 8. Its phases have parities 0, 1, 0, …; a phase is over
// when so many threads have arrived as it was initialised with, and so many bytes have landed as were announced.

inline constexpr int kMbarrierBytes = 8;

__device__ __forceinline__ void initialise_mbarrier(unsigned address, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(arrivals) : "memory");
}

/// Lets asynchronous copies see the initialisations of this thread; the other threads need a barrier besides.
__device__ __forceinline__ void fence_mbarrier_initialisation() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// What this thread did before, and what it knows of, is seen by whoever waits for the phase.
__device__ __forceinline__ void arrive(unsigned address) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address) : "memory");
}

/// Arrives, and announces bytes that asynchronous copies are going to bring.
__device__ __forceinline__ void arrive_expecting(unsigned address, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(bytes) : "memory");
}

/// Whether the phase of this parity is over; may wait a while for it.
__device__ __forceinline__ bool phase_is_over(unsigned address, unsigned parity) {
  unsigned is_over;
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
      "selp.u32 %0, 1, 0, over;\n"
      "}"
      : "=r"(is_over)
      : "r"(address), "r"(parity)
      : "memory");
  return is_over != 0;
}

__device__ __forceinline__ void wait_for_phase(unsigned address, unsigned parity) {
  while (!phase_is_over(address, parity)) {
  }
}

}  // namespace flashmask
