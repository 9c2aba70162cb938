#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emulator/machine/core/pending_reads.h"
#include "emulator/machine/core/race_shadow.h"

namespace flashmask::emulator {

/// One allocation: its bytes and their shadow.
struct Allocation {
  std::uint64_t base = 0;  ///< 0: no allocation
  std::uint64_t bytes = 0;
  std::byte* data = nullptr;
  std::uint8_t* shadow = nullptr;
  /// Asynchronous copies, not waited for yet, that read from here.
  PendingReads pending_reads;
  /// Accesses of the running launch, by pages; made when first needed.
  std::vector<std::unique_ptr<RaceShadow>> races;
};

/// The device's memory. Every allocation has a slot of 4 GiB (or several) of the address space for itself and starts
/// some way into it, so that an access before the start or past the end never meets a neighbour. Slots are not reused:
/// a stale address stays an error.
class GlobalMemory {
 public:
  static constexpr int kSlotBits = 32;
  static constexpr std::uint64_t kGap = std::uint64_t{1} << 28;

  /// Address of new, uninitialised memory. Throws std::bad_alloc.
  std::uint64_t allocate(std::uint64_t bytes);
  /// False when `address` is not the start of an allocation.
  bool release(std::uint64_t address);

  /// The allocation that holds all bytes from `address` on, or null.
  Allocation* find(std::uint64_t address, std::uint64_t bytes) {
    const std::uint64_t slot = address >> kSlotBits;
    if (slot >= slots_.size()) return nullptr;
    Allocation* allocation = slots_[slot];
    if (allocation == nullptr || address < allocation->base) return nullptr;
    const std::uint64_t offset = address - allocation->base;
    if (offset > allocation->bytes || bytes > allocation->bytes - offset) return nullptr;
    return allocation;
  }
  /// "of 4096 bytes at 0x…" for the allocation nearest to `address`, for reports.
  std::string describe(std::uint64_t address) const;
  /// A launch has ended, or failed: forgets its copies in flight and its accesses.
  void end_launch();
  /// The bytes and flags of all allocations, to come back to.
  struct Snapshot {
    std::vector<std::vector<std::byte>> data;
    std::vector<std::vector<std::uint8_t>> shadow;
  };
  Snapshot snapshot() const;
  /// Empty when the allocations hold the bytes of the snapshot; else where they first differ. Bytes that nobody wrote
  /// are equal.
  std::string difference(const Snapshot& snapshot) const;
  /// None of its allocations has been released since; later ones keep their bytes.
  void restore(const Snapshot& snapshot);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  struct Owned {
    Allocation allocation;
    std::unique_ptr<void, Free> data;
    std::unique_ptr<void, Free> shadow;
  };
  std::vector<Allocation*> slots_ = {nullptr};
  std::vector<std::unique_ptr<Owned>> owned_;
};

}  // namespace flashmask::emulator
