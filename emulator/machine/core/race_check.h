#pragma once

#include <cstdint>
#include <span>

#include "emulator/machine/core/ordering.h"

namespace flashmask::emulator {

struct Allocation;
struct Cta;
struct Warp;

/// Whether an access is compared with earlier ones only, or also kept for later ones to compare with.
enum class Keep : std::uint8_t { kNo, kYes };

/// An access to shared memory of `cta`, or to global memory, by `lanes` of the warp; `flags` are AccessFlag bits.
/// Throws Fault{kRace or kProxy} for the thread `lane`. Only for launches that check races.
void check_shared(const Warp& warp, std::uint32_t lane, std::uint32_t lanes, Cta& cta, std::uint32_t offset,
                  std::uint32_t bytes, std::uint32_t flags, Keep keep);
void check_global(const Warp& warp, std::uint32_t lane, std::uint32_t lanes, Allocation& allocation,
                  std::uint64_t address, std::uint64_t bytes, std::uint32_t flags, Keep keep);

/// check_shared() of many granules that the whole warp reads together, and that are not kept.
void check_shared_reads(const Warp& warp, Cta& cta, std::span<const std::uint32_t> granules, std::uint32_t flags);

/// Whether check_shared() would find an order, without throwing.
bool is_ordered_shared(const Warp& warp, std::uint32_t lanes, Cta& cta, std::uint32_t offset, std::uint32_t bytes,
                       std::uint32_t flags);

/// The last thread of a CTA of a cluster exits. Throws Fault{kRace} for an access to its shared memory by another CTA
/// that is not ordered before.
void check_remote_accesses(Warp& last);

/// The bytes were written, or read, by an operation that owned them: nothing needs to be compared.
void keep_shared_write(Cta& cta, std::uint32_t offset, std::uint32_t bytes, const AccessRecord& record);
void keep_global_write(Allocation& allocation, std::uint64_t address, std::uint64_t bytes, const AccessRecord& record);
/// The same for a read or a reduction, which stands beside others; `warp` issued the operation.
void keep_shared_read(Cta& cta, std::uint32_t offset, std::uint32_t bytes, const Warp& warp,
                      const AccessRecord& record);
void keep_shared_reads(Cta& cta, std::span<const std::uint32_t> granules, const Warp& warp, const AccessRecord& record);
void keep_global_read(Allocation& allocation, std::uint64_t address, std::uint64_t bytes, const Warp& warp,
                      const AccessRecord& record);

}  // namespace flashmask::emulator
