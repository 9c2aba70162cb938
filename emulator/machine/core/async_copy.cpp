#include <algorithm>
#include <cstring>

#include "emulator/machine/core/race_check.h"
#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// Whose accesses those of the copy are from now on: its thread's, which waited, or those of the phase of an mbarrier.
AccessRecord record_of(const Warp& warp, const AsyncCopy& copy, std::uint32_t lane, const Mbarrier* by,
                       std::uint32_t flags) {
  const std::uint32_t where = copy.operation << kFlagBits | flags;
  if (by != nullptr) return {by->agent, by->phase + 1, kAllLanes, where};
  return {warp.order.agent, warp.order.clock, 1u << lane, where};
}

/// The bytes of one lane arrive. Nobody could tell an earlier landing from this one: until here, reading or writing the
/// destination and writing the source are errors.
void land(Warp& warp, const AsyncCopy& copy, std::uint32_t lane, const Mbarrier* by) {
  auto* data = warp.cta->shared.data() + copy.destination[lane];
  auto* shadow = reinterpret_cast<std::uint8_t*>(warp.cta->shared_shadow.data()) + copy.destination[lane];
  const std::uint32_t read = copy.source_bytes[lane];
  if (read != 0) {
    Allocation* source = warp.launch->memory->find(copy.source[lane], read);
    std::memcpy(data, source->data + (copy.source[lane] - source->base), read);
    source->pending_reads.remove(copy.source[lane] - source->base, read);
    if (warp.launch->races)
      keep_global_read(*source, copy.source[lane], read, warp, record_of(warp, copy, lane, by, 0));
  }
  std::memset(data + read, 0, copy.bytes - read);
  std::memset(shadow, kWritten, copy.bytes);
  if (warp.launch->races) {
    keep_shared_write(*warp.cta, copy.destination[lane], copy.bytes, record_of(warp, copy, lane, by, kWrites));
  }
}

}  // namespace

void complete_copies(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool all, const Mbarrier* by) {
  for (AsyncCopy& copy : warp.copies) {
    const std::uint32_t candidates = copy.mask & lanes;
    if (candidates == 0) continue;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      if ((candidates >> lane & 1) == 0) continue;
      if (!all && copy.group[lane] + remaining >= warp.committed[lane]) continue;
      land(warp, copy, lane, by);
      copy.mask &= ~(1u << lane);
    }
    if (copy.mask == 0) --warp.cta->async_copies_in_flight;
  }
  std::erase_if(warp.copies, [](const AsyncCopy& copy) { return copy.mask == 0; });
}

}  // namespace flashmask::emulator
