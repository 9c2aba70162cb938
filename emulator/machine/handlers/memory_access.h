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
  /// The location among those where strong accesses meet.
  std::uint64_t key = 0;
};

/// The addresses of all lanes: base register plus offset.
void lane_addresses(const Warp& warp, const Operation& operation, std::uint64_t* addresses);

/// Finds the bytes at `address` of the space that the running operation names, and checks alignment (to `alignment`),
/// bounds, the shadow for this kind of access, and its order among others; marks written bytes. `lanes` are the ones
/// that access together, by default only `lane`. Throws Fault.
Place locate(Warp& warp, std::uint32_t lane, ptx::Space space, std::uint64_t address, std::uint32_t bytes,
             std::uint32_t alignment, Access access, std::uint32_t lanes = 0);

/// The bytes exist, are written, and nothing owns them; in which order they are read is not looked at. Throws Fault.
void require_readable_global(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes);
const std::byte* require_readable_shared(Warp& warp, std::uint32_t lane, std::uint32_t offset, std::uint32_t bytes);

/// A place in shared memory: of which CTA, and where.
struct SharedPlace {
  Cta* cta = nullptr;
  std::uint32_t offset = 0;
};
/// Resolves an address of .shared::cluster (the CTA's own, or one that mapa made), or a generic one. Throws Fault for
/// one that no CTA of the cluster has.
SharedPlace resolve_shared(Warp& warp, std::uint32_t lane, std::uint64_t address);
/// The same, for an access to `bytes` there. Throws Fault when they are not in the shared memory of a running CTA.
SharedPlace shared_place(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint32_t bytes);

/// Publishes and acquires what the access to `place` says, when it has been carried out.
void order_access(Warp& warp, std::uint32_t lane, const Place& place, Access access);

/// Counts the passes over shared memory that the lanes of `mask` cause beyond the fewest, `bytes` per lane.
void count_conflicts(Launch& launch, std::uint32_t mask, const std::uint64_t* offsets, std::uint32_t bytes);

}  // namespace flashmask::emulator
