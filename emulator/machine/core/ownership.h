#pragma once

#include <cstdint>
#include <string>

namespace flashmask::emulator {

struct Cta;
struct Warp;

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
