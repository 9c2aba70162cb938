#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emulator/machine/core/knowledge.h"

namespace flashmask::emulator {

struct Cta;
struct Launch;
struct Warp;

/// Combines `bytes` of `source` into `target`: the reduction of a bulk copy.
using Reduction = void (*)(std::byte* target, const std::byte* source, std::uint64_t bytes);

/// One cp.async.bulk or cp.async.bulk.tensor (or a reduction of these), or an st.async, from its issue until it has
/// landed. Until then it owns its bytes: nobody else may touch the ones that it writes, or write the ones that it
/// reads.
struct BulkCopy {
  /// A stretch of bytes that are adjacent on both sides.
  struct Run {
    std::uint32_t shared = 0;  ///< offset
    std::uint64_t other = 0;   ///< global address, or offset in the shared memory of the targets
    std::uint32_t bytes = 0;
    bool fills = false;  ///< there is nothing on the other side: `fill` is written
  };
  enum class Direction : std::uint8_t { kToShared, kToGlobal, kBetweenShared };

  Direction direction = Direction::kToShared;
  std::uint64_t number = 0;
  std::uint32_t operation = 0;  ///< that issued it, as the index in the code
  Warp* issuer = nullptr;       ///< alive until the copy has landed
  std::uint32_t lane = 0;
  std::vector<Run> runs;
  std::byte fill[16] = {};         ///< repeats; the value of st.async
  bool generic = false;            ///< st.async: not through the asynchronous proxy
  std::uint64_t bytes = 0;         ///< in all, those that are only filled included
  std::uint64_t global_begin = 0;  ///< its bytes in global memory lie between these
  std::uint64_t global_end = 0;
  Cta* source = nullptr;       ///< whose shared memory it reads
  std::vector<Cta*> targets;   ///< whose shared memory it writes
  bool signals = false;        ///< completes bytes of an mbarrier of every target; else it belongs to a bulk group
  std::uint32_t mbarrier = 0;  ///< offset
  std::uint64_t group = 0;
  bool has_read = false;  ///< the source is free again
  Reduction reduction = nullptr;
  bool is_ordered = false;         ///< a reduction that must not meet others
  std::vector<std::byte> payload;  ///< what was read, once it was
};

/// Takes ownership of the bytes and puts the copy among those in flight. Throws Fault for bytes out of bounds, never
/// written, owned by another operation, or not ordered before.
void issue(Warp& warp, BulkCopy copy);
/// The copy reads its source now, and others may write there.
void read_source(Launch& launch, BulkCopy& copy);
/// The copies in flight that may land at any moment: those that signal an mbarrier. One of a bulk group lands when its
/// thread waits for it or its CTA ends; as nobody may touch its bytes until then, the moment could not be seen.
std::size_t copies_that_may_land(const Launch& launch);
/// The `which`th of them writes now, signals its mbarriers and is over.
void land_one(Launch& launch, std::size_t which);

/// cp.async.bulk.wait_group: all groups of the lanes but the newest `remaining` have read their sources and, unless
/// `only_reads`, landed.
void wait_for_groups(Warp& warp, std::uint32_t lanes, std::uint64_t remaining, bool only_reads);
/// The CTA has ended. Throws Fault for a copy that still reads its shared memory, or writes there; what is on its way
/// to global memory lands.
void finish_bulk_copies(Warp& last);

/// The copy in flight that owns some of the bytes, or null. `offset` is a global address when `cta` is null.
const BulkCopy* owner_of(const Launch& launch, const Cta* cta, std::uint64_t offset, std::uint64_t bytes);
/// "line 12: cp.async.bulk… of CTA (0,0,0), warp 0, lane 0 (…)"
std::string describe(const Launch& launch, const BulkCopy& copy);

}  // namespace flashmask::emulator
