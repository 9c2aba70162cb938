#pragma once

#include <cstdint>
#include <string>

#include "emulator/machine/core/shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {

enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };

/// Bytes of one lane's access, and their shadow; parameters have none.
struct Place {
  std::byte* data = nullptr;
  std::uint8_t* shadow = nullptr;
  bool shared = false;
  bool global = false;
};

/// The addresses of all lanes: base register plus offset.
void lane_addresses(const Warp& warp, const Operation& operation, std::uint64_t* addresses);

/// Finds the bytes at `address` of the space that the running operation names, and checks alignment (to `alignment`),
/// bounds, and the shadow for this kind of access; marks written bytes. Throws Fault.
Place locate(Warp& warp, std::uint32_t lane, ptx::Space space, std::uint64_t address, std::uint32_t bytes,
             std::uint32_t alignment, Access access);

/// Counts the passes over shared memory that the lanes of `mask` cause beyond the fewest, `bytes` per lane.
void count_conflicts(Launch& launch, std::uint32_t mask, const std::uint64_t* offsets, std::uint32_t bytes);

/// Throws Fault{kPending} for an access to bytes of shared memory that an asynchronous copy will write.
[[noreturn]] void fault_pending(Warp& warp, std::uint32_t lane, std::uint64_t offset, std::uint32_t bytes,
                                const std::string& what);

}  // namespace flashmask::emulator
