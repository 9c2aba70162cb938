#pragma once

#include "primitives/mbarrier.cuh"
#include "primitives/thread.cuh"

namespace flashmask {

/// A ring of slots between one warp that fills them and others that empty them: two mbarriers for each slot. Each warp
/// counts the turns for itself: turn n, from 0 on, is in slot n % kSlots. Holds no state but an address.
template <int kSlots>
class SlotRing {
 public:
  static constexpr int kMbarrierBytes = 2 * kSlots * flashmask::kMbarrierBytes;

  __device__ __forceinline__ explicit SlotRing(unsigned mbarriers) : mbarriers_(mbarriers) {}

  /// By one thread. A slot is full after one arrival and the bytes that it announces, empty after `emptying_warps`.
  __device__ __forceinline__ void initialise(int emptying_warps) const {
#pragma unroll
    for (unsigned turn = 0; turn < kSlots; ++turn) {
      initialise_mbarrier(full(turn), 1);
      initialise_mbarrier(empty(turn), emptying_warps);
    }
  }

  static __device__ __forceinline__ unsigned slot(unsigned turn) { return turn % kSlots; }
  /// The mbarriers of a turn's slot.
  __device__ __forceinline__ unsigned full(unsigned turn) const {
    return mbarriers_ + slot(turn) * flashmask::kMbarrierBytes;
  }
  __device__ __forceinline__ unsigned empty(unsigned turn) const {
    return full(turn) + kSlots * flashmask::kMbarrierBytes;
  }

  __device__ __forceinline__ void wait_until_full(unsigned turn) const { wait_for_phase(full(turn), parity(turn)); }
  /// At first all slots are empty: the phase before the first one counts as over.
  __device__ __forceinline__ void wait_until_empty(unsigned turn) const {
    wait_for_phase(empty(turn), parity(turn) ^ 1);
  }
  /// By a whole warp: it is done with the turn's slot.
  __device__ __forceinline__ void release(unsigned turn) const {
    __syncwarp();
    if (read_lane() == 0) arrive(empty(turn));
  }

 private:
  static __device__ __forceinline__ unsigned parity(unsigned turn) { return turn / kSlots % 2; }

  unsigned mbarriers_;
};

}  // namespace flashmask
