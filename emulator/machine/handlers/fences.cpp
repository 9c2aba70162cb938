#include <algorithm>

#include "emulator/machine/core/warp.h"
#include "emulator/machine/handlers/families.h"

namespace flashmask::emulator {
namespace {

void run_fence(Warp& warp, const Operation& operation) {
  if (warp.launch->races) fence_memory(warp, warp.mask, static_cast<Scope>(operation.mode));
}

/// mode = a bit for each Memory.
void run_proxy_fence(Warp& warp, const Operation& operation) {
  if (!warp.launch->races) return;
  for (const Memory memory : {kSharedMemory, kGlobalMemory}) {
    if ((operation.mode >> memory & 1) != 0) fence_proxy(warp, warp.mask, memory);
  }
}

/// The initialisations that one of these lanes knows of are visible to the asynchronous proxy, and to whoever a relaxed
/// signal reaches. Often all threads run the fence, though one of them initialised.
void run_initialisation_fence(Warp& warp, const Operation&) {
  if (!warp.launch->races) return;
  Order initialised;
  for (Mbarrier& mbarrier : warp.cta->mbarriers.all()) {
    const AccessRecord& record = mbarrier.initialised;
    bool known = false;
    for (std::uint32_t left = warp.mask; left != 0 && !known; left &= left - 1) {
      bool fence_missing = false;
      known = ordered(record, accessor_of(warp, left & (~left + 1), 0, kSharedMemory), fence_missing);
    }
    if (!known) continue;
    mbarrier.initialisation_fenced = true;
    initialised.known.raise_lanes(record.agent, record.lanes, record.clock);
  }
  fence_initialisations(warp, warp.mask, initialised);
}

/// Of fences between proxies that nothing here goes through (other address mappings, tensor maps in memory), and of
/// dependencies between grids: a launch is alone on its machine.
void run_nothing(Warp&, const Operation&) {}

void lower_proxy(Builder& builder) {
  builder.statistics_class("fence");
  if (builder.take("async")) {
    constexpr unsigned kShared = 1u << kSharedMemory, kGlobal = 1u << kGlobalMemory;
    const auto space = builder.take_one_of({"global", "shared::cta", "shared::cluster"});
    builder.operation.mode = static_cast<std::uint8_t>(!space ? kShared | kGlobal : *space == 0 ? kGlobal : kShared);
    builder.operation.run = run_proxy_fence;
    builder.expect_operands(0);
    return;
  }
  if (!builder.take_one_of({"alias", "tensormap::generic"})) {
    builder.unsupported("the proxies async, alias and tensormap::generic are known");
  }
  builder.take_one_of({"acquire", "release"});
  builder.take_one_of({"cta", "cluster", "gpu", "sys"});
  builder.expect_operands(0, 2);
  builder.operation.run = run_nothing;
}

void lower_fence(Builder& builder) {
  if (builder.take("proxy")) return lower_proxy(builder);
  builder.statistics_class("fence");
  builder.expect_operands(0);
  if (builder.take("mbarrier_init")) {
    if (!builder.take("release") || !builder.take("cluster")) builder.malformed(".release.cluster is missing");
    builder.operation.run = run_initialisation_fence;
    return;
  }
  builder.take_one_of({"sc", "acq_rel", "acquire", "release"});
  const auto scope = builder.take_one_of({"cta", "cluster", "gpu", "sys"});
  if (!scope) builder.malformed("a scope is missing: .cta, .cluster, .gpu or .sys");
  builder.operation.mode = static_cast<std::uint8_t>(std::min<std::size_t>(*scope, 2));
  builder.operation.run = run_fence;
}

void lower_membar(Builder& builder) {
  if (builder.take("proxy")) return lower_proxy(builder);
  builder.statistics_class("fence");
  builder.expect_operands(0);
  const auto level = builder.take_one_of({"cta", "gl", "sys"});
  if (!level) builder.malformed(".cta, .gl or .sys is missing");
  builder.operation.mode = static_cast<std::uint8_t>(*level == 0 ? Scope::kCta : Scope::kGpu);
  builder.operation.run = run_fence;
}

void lower_grid_dependency(Builder& builder) {
  if (!builder.take_one_of({"launch_dependents", "wait"})) builder.malformed(".launch_dependents or .wait is missing");
  builder.expect_operands(0);
  builder.operation.run = run_nothing;
}

}  // namespace

void add_fences(LowerTable& table) {
  table["fence"] = lower_fence;
  table["membar"] = lower_membar;
  table["griddepcontrol"] = lower_grid_dependency;
}

}  // namespace flashmask::emulator
