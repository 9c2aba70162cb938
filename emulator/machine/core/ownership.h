#pragma once

#include <cstdint>
#include <string>

#include "emulator/machine/core/race_shadow.h"

namespace flashmask::emulator {

struct Cta;
struct Warp;

/// True when two stretches of bytes, of which the first may be empty, share some.
inline bool overlaps(std::uint64_t a, std::uint64_t a_bytes, std::uint64_t b, std::uint64_t b_bytes) {
  return a_bytes != 0 && a < b + b_bytes && b < a + a_bytes;
}
/// The granule of the last byte of some, not none.
inline std::uint32_t last_granule(std::uint32_t offset, std::uint64_t bytes) {
  return static_cast<std::uint32_t>((offset + bytes - 1) / RaceShadow::kGranule);
}

/// True when an asynchronous operation in flight reads some of the bytes of shared memory.
bool is_being_read(const Cta& cta, std::uint32_t offset, std::uint64_t bytes);

/// Throws Fault{kPending}: `what` ("it writes 16 bytes at shared+0x400") meets bytes that an asynchronous operation in
/// flight reads, or will write.
[[noreturn]] void fault_being_read(Warp& warp, std::uint32_t lane, const Cta& cta, std::uint32_t offset,
                                   std::uint64_t bytes, const std::string& what);
[[noreturn]] void fault_being_written(Warp& warp, std::uint32_t lane, const Cta& cta, std::uint64_t offset,
                                      std::uint32_t bytes, const std::string& what);
/// Throws Fault{kPending} when an asynchronous copy in flight reads some of the bytes of global memory.
void check_pending_reads(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint64_t bytes);

}  // namespace flashmask::emulator
