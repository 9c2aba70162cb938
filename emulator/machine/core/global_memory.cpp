#include "emulator/machine/core/global_memory.h"

#include <algorithm>
#include <new>

#include <fmt/format.h>

#include "emulator/machine/core/shadow.h"

namespace flashmask::emulator {

std::uint64_t GlobalMemory::allocate(std::uint64_t bytes) {
  auto owned = std::make_unique<Owned>();
  // calloc gives pages on first touch, so a large and sparsely used allocation costs little.
  const std::uint64_t room = std::max<std::uint64_t>(bytes, 1);
  owned->data.reset(std::calloc(room, 1));
  owned->shadow.reset(std::calloc(room, 1));
  if (!owned->data || !owned->shadow) throw std::bad_alloc();
  Allocation& allocation = owned->allocation;
  allocation.base = (std::uint64_t{slots_.size()} << kSlotBits) + kGap;
  allocation.bytes = bytes;
  allocation.data = static_cast<std::byte*>(owned->data.get());
  allocation.shadow = static_cast<std::uint8_t*>(owned->shadow.get());
  const std::uint64_t slots = ((kGap + bytes + kGap) >> kSlotBits) + 1;
  slots_.insert(slots_.end(), slots, &allocation);
  owned_.push_back(std::move(owned));
  return allocation.base;
}

bool GlobalMemory::release(std::uint64_t address) {
  const auto found =
      std::find_if(owned_.begin(), owned_.end(), [&](const auto& each) { return each->allocation.base == address; });
  if (found == owned_.end()) return false;
  for (Allocation*& slot : slots_) {
    if (slot == &(*found)->allocation) slot = nullptr;
  }
  owned_.erase(found);
  return true;
}

std::string GlobalMemory::describe(std::uint64_t address) const {
  const std::uint64_t slot = address >> kSlotBits;
  if (slot >= slots_.size() || slots_[slot] == nullptr) return "no allocation is near";
  const Allocation& near = *slots_[slot];
  const auto offset = static_cast<std::int64_t>(address - near.base);
  return fmt::format("byte {} of the allocation of {} bytes at {:#x}", offset, near.bytes, near.base);
}

void GlobalMemory::end_launch() {
  for (const auto& each : owned_) {
    each->allocation.races.clear();
    each->allocation.pending_reads.clear();
  }
}

GlobalMemory::Snapshot GlobalMemory::snapshot() const {
  Snapshot result;
  for (const auto& each : owned_) {
    const Allocation& from = each->allocation;
    result.data.emplace_back(from.data, from.data + from.bytes);
    result.shadow.emplace_back(from.shadow, from.shadow + from.bytes);
  }
  return result;
}

std::string GlobalMemory::difference(const Snapshot& snapshot) const {
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    const Allocation& now = owned_[i]->allocation;
    const std::vector<std::byte>& data = snapshot.data[i];
    const std::vector<std::uint8_t>& shadow = snapshot.shadow[i];
    for (std::uint64_t at = 0; at < now.bytes; ++at) {
      const bool same_kind = (now.shadow[at] & kWritten) == (shadow[at] & kWritten);
      const bool written = (shadow[at] & kWritten) != 0;
      if (same_kind && (!written || now.data[at] == data[at])) continue;
      return fmt::format("byte {} of the allocation of {} bytes at {:#x}", at, now.bytes, now.base);
    }
  }
  return "";
}

void GlobalMemory::restore(const Snapshot& snapshot) {
  for (std::size_t i = 0; i < snapshot.data.size(); ++i) {
    Allocation& to = owned_[i]->allocation;
    std::copy(snapshot.data[i].begin(), snapshot.data[i].end(), to.data);
    std::copy(snapshot.shadow[i].begin(), snapshot.shadow[i].end(), to.shadow);
  }
}

}  // namespace flashmask::emulator
