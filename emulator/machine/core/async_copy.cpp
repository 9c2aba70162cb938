#include <algorithm>
#include <cstring>

#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// The bytes of one lane arrive. Nobody could tell an earlier landing from this one: until here, reading or writing the
/// destination and writing the source are errors.
void land(Warp& warp, const AsyncCopy& copy, std::uint32_t lane) {
  auto* data = warp.cta->shared.data() + copy.destination[lane];
  auto* shadow = reinterpret_cast<std::uint8_t*>(warp.cta->shared_shadow.data()) + copy.destination[lane];
  const std::uint32_t read = copy.source_bytes[lane];
  if (read != 0) {
    Allocation* source = warp.launch->memory->find(copy.source[lane], read);
    std::memcpy(data, source->data + (copy.source[lane] - source->base), read);
    --source->pending_reads;
  }
  std::memset(data + read, 0, copy.bytes - read);
  std::memset(shadow, kWritten, copy.bytes);
}

}  // namespace

void complete_copies(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool all) {
  for (AsyncCopy& copy : warp.copies) {
    const std::uint32_t candidates = copy.mask & lanes;
    if (candidates == 0) continue;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      if ((candidates >> lane & 1) == 0) continue;
      if (!all && copy.group[lane] + remaining >= warp.committed[lane]) continue;
      land(warp, copy, lane);
      copy.mask &= ~(1u << lane);
    }
    if (copy.mask == 0) --warp.cta->copies_in_flight;
  }
  std::erase_if(warp.copies, [](const AsyncCopy& copy) { return copy.mask == 0; });
}

}  // namespace flashmask::emulator
