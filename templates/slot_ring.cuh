#pragma once

#include "primitives/mbarrier.cuh"

namespace flashmask {

/// A ring of slots between one warp that fills them and others that empty them, as one of those warps follows it: two
/// mbarriers for each slot, and where in the ring the warp is.
template <int kSlots>
class SlotRing {
 public:
  static constexpr int kMbarrierBytes = 2 * kSlots * flashmask::kMbarrierBytes;

  __device__ __forceinline__ explicit SlotRing(unsigned mbarriers) : mbarriers_(mbarriers) {}

  /// By one thread. A slot is full after one arrival and the bytes that it announces, empty after `emptying_warps`.
  __device__ __forceinline__ void initialise(int emptying_warps) const {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      initialise_mbarrier(mbarriers_ + slot * flashmask::kMbarrierBytes, 1);
      initialise_mbarrier(mbarriers_ + (kSlots + slot) * flashmask::kMbarrierBytes, emptying_warps);
    }
  }

  __device__ __forceinline__ int slot() const { return slot_; }
  /// The mbarriers of the current slot.
  __device__ __forceinline__ unsigned full() const { return mbarriers_ + slot_ * flashmask::kMbarrierBytes; }
  __device__ __forceinline__ unsigned empty() const { return full() + kSlots * flashmask::kMbarrierBytes; }

  __device__ __forceinline__ void wait_until_full() const { wait_for_phase(full(), parity_); }
  /// At first all slots are empty: the phase before the first one counts as over.
  __device__ __forceinline__ void wait_until_empty() const { wait_for_phase(empty(), parity_ ^ 1); }

  __device__ __forceinline__ void advance() {
    if (++slot_ == kSlots) {
      slot_ = 0;
      parity_ ^= 1;
    }
  }

 private:
  unsigned mbarriers_;
  int slot_ = 0;
  unsigned parity_ = 0;
};

}  // namespace flashmask
