#include "emulator/machine/core/warpgroup.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/race_check.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

constexpr std::uint32_t kWarpsOfGroup = 4;

enum RegisterState : std::uint8_t {
  kAccumulates = 1,  ///< a product in flight will write it
  kIsRead = 2,       ///< a product in flight reads it
  kTouched = 4,      ///< by another instruction since the last wgmma.fence
};

std::uint32_t unit_of(Ref ref) {
  return ref / 64;
}

std::uint8_t& state_of(Warp& warp, Ref ref) {
  WarpgroupPart& part = warp.products;
  if (part.registers.empty()) {
    part.registers.resize(warp.launch->kernel->register_bytes / 64 + 1);
    part.widths.resize(part.registers.size());
    // Registers that a product uses first were set before, by other instructions.
    std::fill(part.registers.begin(), part.registers.end(), std::uint8_t{kTouched});
  }
  return part.registers[unit_of(ref)];
}

/// Any lane that goes on from the wait knows that the products have read their operands.
void complete(Warp& warp, const WarpgroupPart::Group& group) {
  Cta& cta = *warp.cta;
  const WarpOrder& order = warp.order;
  const AccessRecord record{order.agent, order.clock, kAllLanes,
                            group.operation << kFlagBits | kAsynchronous | kCollective};
  for (const std::uint32_t granule : group.granules) --cta.pending_reads[granule];
  if (warp.launch->races) keep_shared_reads(cta, group.granules, warp, record);
}

/// Registers belong to the groups that are left.
void mark_registers(Warp& warp) {
  WarpgroupPart& part = warp.products;
  for (std::uint8_t& state : part.registers) state &= kTouched;
  const auto mark = [&](const WarpgroupPart::Group& group) {
    for (const Ref ref : group.accumulators) state_of(warp, ref) |= kAccumulates;
    for (const Ref ref : group.inputs) state_of(warp, ref) |= kIsRead;
  };
  for (const WarpgroupPart::Group& group : part.committed) mark(group);
  mark(part.open);
}

void agree(Warp& warp, std::uint64_t first, std::uint64_t second) {
  Cta& cta = *warp.cta;
  const std::uint32_t index = warp.index / kWarpsOfGroup;
  if (cta.warpgroups.size() <= index) cta.warpgroups.resize(index + 1);
  Warpgroup& group = cta.warpgroups[index];
  const auto operation = static_cast<std::uint32_t>(warp.operation - warp.launch->kernel->code.data());
  const std::uint64_t number = warp.products.issued++;
  if (number == group.products.size()) {
    for (std::uint32_t i = index * kWarpsOfGroup; i < (index + 1) * kWarpsOfGroup; ++i) {
      if (!cta.warps[i].done()) continue;
      warp.fault(Fault::Kind::kBarrier, 0,
                 fmt::format("the warp issues a product, but warp {} of its warpgroup has exited after {}", i, number));
    }
    group.products.push_back({operation, first, second});
    return;
  }
  const Warpgroup::Product& others = group.products[number];
  if (others.operation == operation && others.first == first && others.second == second) return;
  warp.fault(Fault::Kind::kBarrier, 0,
             fmt::format("the warps of warpgroup {} issue different products: its {}. one is here with the descriptors "
                         "{:#x} and {:#x}, but {:#x} and {:#x} in another warp, at\n  {}\nand here it is",
                         index, number + 1, first, second, others.first, others.second,
                         warp.launch->program->quote(warp.launch->kernel->code[others.operation].line)));
}

}  // namespace

void fence_products(Warp& warp) {
  state_of(warp, 0);
  for (std::uint8_t& state : warp.products.registers) state &= static_cast<std::uint8_t>(~kTouched);
}

void issue_product(Warp& warp, const ProductRegisters& registers, std::uint32_t n, std::uint64_t first,
                   std::uint64_t second) {
  agree(warp, first, second);
  WarpgroupPart& part = warp.products;
  const auto require_fence = [&](Ref ref) {
    if ((state_of(warp, ref) & kTouched) == 0) return;
    warp.fault(Fault::Kind::kRegister, 0,
               fmt::format("the product uses the register {}, which another instruction touched after the last "
                           "wgmma.fence of the warp. Put wgmma.fence.sync.aligned between the two",
                           warp.launch->kernel->register_name(ref)));
  };
  for (const Ref ref : registers.inputs) require_fence(ref);
  for (const Ref ref : registers.accumulators) {
    require_fence(ref);
    const bool owned = (state_of(warp, ref) & kAccumulates) != 0;
    if (owned && part.widths[unit_of(ref)] != n) {
      warp.fault(Fault::Kind::kPending, 0,
                 fmt::format("the accumulator {} belongs to a product of {} columns in flight, this one has {}; only "
                             "products of one shape may follow each other without a wait",
                             warp.launch->kernel->register_name(ref), part.widths[unit_of(ref)], n));
    }
    state_of(warp, ref) |= kAccumulates;
    part.widths[unit_of(ref)] = static_cast<std::uint16_t>(n);
  }
  for (const Ref ref : registers.inputs) state_of(warp, ref) |= kIsRead;
  part.open.accumulators.insert(part.open.accumulators.end(), registers.accumulators.begin(),
                                registers.accumulators.end());
  part.open.inputs.insert(part.open.inputs.end(), registers.inputs.begin(), registers.inputs.end());
  part.open.operation = static_cast<std::uint32_t>(warp.operation - warp.launch->kernel->code.data());
}

void claim_chunks(Warp& warp, std::span<const std::uint32_t> offsets) {
  Cta& cta = *warp.cta;
  std::vector<std::uint32_t>& granules = warp.products.open.granules;
  const std::size_t first = granules.size();
  for (const std::uint32_t offset : offsets) {
    granules.push_back(offset / RaceShadow::kGranule);
    ++cta.pending_reads[granules.back()];
  }
  if (warp.launch->races) check_shared_reads(warp, cta, std::span(granules).subspan(first), kAsynchronous);
}

void commit_products(Warp& warp) {
  WarpgroupPart& part = warp.products;
  part.committed.push_back(std::move(part.open));
  part.open = {};
}

void wait_for_products(Warp& warp, std::uint64_t remaining) {
  WarpgroupPart& part = warp.products;
  if (part.committed.size() <= remaining) return;
  const auto end = part.committed.end() - static_cast<std::ptrdiff_t>(remaining);
  for (auto group = part.committed.begin(); group != end; ++group) complete(warp, *group);
  part.committed.erase(part.committed.begin(), end);
  mark_registers(warp);
}

void finish_products(Warp& warp) {
  WarpgroupPart& part = warp.products;
  const std::size_t index = warp.index / kWarpsOfGroup;
  if (warp.cta->warpgroups.size() <= index) return;
  const auto left = [&](const WarpgroupPart::Group& group, const char* how) {
    if (group.accumulators.empty()) return;
    warp.fault(Fault::Kind::kPending, 0,
               fmt::format("the warp ends while a product {}:\n  {}", how,
                           warp.launch->program->quote(warp.launch->kernel->code[group.operation].line)));
  };
  for (const WarpgroupPart::Group& group : part.committed) left(group, "has not been waited for");
  left(part.open, "has not been committed and waited for");
  const Warpgroup& group = warp.cta->warpgroups[index];
  if (group.products.size() != part.issued) {
    warp.fault(Fault::Kind::kBarrier, 0,
               fmt::format("the warp ends after {} products, another warp of its warpgroup has issued {}", part.issued,
                           group.products.size()));
  }
}

void check_registers(Warp& warp, std::uint32_t pc) {
  const CompiledKernel& kernel = *warp.launch->kernel;
  for (std::uint32_t i = kernel.touch_begin[pc]; i < kernel.touch_begin[pc + 1]; ++i) {
    const CompiledKernel::Touch& touch = kernel.touches[i];
    std::uint8_t& state = state_of(warp, touch.ref);
    const bool wrong = (state & kAccumulates) != 0 || (touch.writes && (state & kIsRead) != 0);
    if (wrong) {
      warp.fault(
          Fault::Kind::kPending, static_cast<std::uint32_t>(std::countr_zero(warp.mask)),
          fmt::format("it {} the register {}, which a wgmma in flight still {}; wgmma.wait_group must come first",
                      touch.writes ? "writes" : "reads", kernel.register_name(touch.ref),
                      (state & kAccumulates) != 0 ? "accumulates in" : "reads"));
    }
    state |= kTouched;
  }
}

}  // namespace flashmask::emulator
