#include "emulator/machine/core/ownership.h"

#include <algorithm>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

const Operation& operation_at(const Warp& warp, std::uint32_t index) {
  return warp.launch->kernel->code[index];
}

/// The product of another warp, or of this one, that reads the granules; empty when none does.
std::string reading_product(const Warp& warp, const Cta& cta, std::uint32_t first, std::uint32_t last) {
  for (const Warp& other : cta.warps) {
    const auto reads = [&](const WarpgroupPart::Group& group) {
      return std::any_of(group.granules.begin(), group.granules.end(),
                         [&](std::uint32_t granule) { return granule >= first && granule <= last; });
    };
    const auto tell = [&](const WarpgroupPart::Group& group) {
      return fmt::format("{}\n  of {}", warp.launch->program->quote(operation_at(warp, group.operation).line),
                         place_of(other, 0));
    };
    for (const WarpgroupPart::Group& group : other.products.committed) {
      if (reads(group)) return tell(group);
    }
    if (reads(other.products.open)) return tell(other.products.open);
  }
  return "";
}

}  // namespace

bool is_being_read(const Cta& cta, std::uint32_t offset, std::uint64_t bytes) {
  if (cta.pending_reads.empty()) return false;
  const auto first = cta.pending_reads.begin() + offset / RaceShadow::kGranule;
  const auto last = cta.pending_reads.begin() + last_granule(offset, bytes);
  return std::any_of(first, last + 1, [](std::uint16_t count) { return count != 0; });
}

void fault_being_read(Warp& warp, std::uint32_t lane, const Cta& cta, std::uint32_t offset, std::uint64_t bytes,
                      const std::string& what) {
  const std::uint32_t first = offset / RaceShadow::kGranule;
  std::string owner = reading_product(warp, cta, first, last_granule(offset, bytes));
  const char* remedy = "wgmma.wait_group by the warp that issued it, and a barrier after that";
  if (owner.empty()) {
    const BulkCopy* copy = owner_of(*warp.launch, &cta, offset, bytes);
    owner = copy == nullptr ? "an operation that has ended" : describe(*warp.launch, *copy);
    remedy = "cp.async.bulk.wait_group.read by the thread that issued it, and a barrier after that";
  }
  warp.fault(Fault::Kind::kPending, lane,
             fmt::format("{}, which an asynchronous operation still reads; that one is\n  {}\nwhat would order them: "
                         "{}\nand this access is",
                         what, owner, remedy));
}

void fault_being_written(Warp& warp, std::uint32_t lane, const Cta& cta, std::uint64_t offset, std::uint32_t bytes,
                         const std::string& what) {
  for (const Warp& other : cta.warps) {
    for (const AsyncCopy& copy : other.copies) {
      for (std::uint32_t i = 0; i < kLanes; ++i) {
        if ((copy.mask >> i & 1) == 0 || !overlaps(copy.destination[i], copy.bytes, offset, bytes)) continue;
        warp.fault(
            Fault::Kind::kPending, lane,
            fmt::format("{}, which an asynchronous copy of {} still owns until that thread waits for it; that copy "
                        "is\n  {}\nand this access is",
                        what, place_of(other, i), warp.launch->program->quote(copy.line)));
      }
    }
  }
  const BulkCopy* copy = owner_of(*warp.launch, &cta, offset, bytes);
  const std::string owner = copy == nullptr ? "" : "; that copy is\n  " + describe(*warp.launch, *copy);
  warp.fault(Fault::Kind::kPending, lane,
             fmt::format("{}, which an asynchronous copy in flight will write{}\nand this access is", what, owner));
}

void check_pending_reads(Warp& warp, std::uint32_t lane, std::uint64_t address, std::uint64_t bytes) {
  const auto fail = [&](const std::string& owner) {
    warp.fault(Fault::Kind::kPending, lane,
               fmt::format("it writes {} bytes at the global address {:#x}, which an asynchronous copy still reads; "
                           "that copy is\n  {}",
                           bytes, address, owner));
  };
  for (const Cta* cta : warp.launch->resident) {
    if (cta == nullptr) continue;
    for (const Warp& other : cta->warps) {
      for (const AsyncCopy& copy : other.copies) {
        for (std::uint32_t i = 0; i < kLanes; ++i) {
          if ((copy.mask >> i & 1) == 0 || !overlaps(copy.source[i], copy.source_bytes[i], address, bytes)) continue;
          fail(fmt::format("{}\n  of {}", warp.launch->program->quote(copy.line), place_of(other, i)));
        }
      }
    }
  }
  for (const auto& copy : warp.launch->bulk_copies) {
    if (copy->direction != BulkCopy::Direction::kToShared) continue;
    for (const BulkCopy::Run& run : copy->runs) {
      if (!run.fills && overlaps(run.other, run.bytes, address, bytes)) fail(describe(*warp.launch, *copy));
    }
  }
}

}  // namespace flashmask::emulator
