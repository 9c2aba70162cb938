#include "emulator/machine/core/interpreter.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "emulator/machine/core/flow.h"

namespace flashmask::emulator {
namespace {

/// Instructions without a store, a barrier or an exit anywhere in the resident set, after which it counts as stuck.
constexpr std::uint64_t kMostIdleInstructions = std::uint64_t{1} << 26;
/// What registers hold before they are written: a quiet NaN that is easy to see.
constexpr std::uint32_t kPoison = 0x7fc0dead;

/// Makes CTAs of one launch; the storage of a finished one serves the next.
class CtaFactory {
 public:
  explicit CtaFactory(Launch& launch) : launch_(launch) {}

  std::unique_ptr<Cta> storage(std::uint32_t place) const {
    auto cta = std::make_unique<Cta>();
    const std::uint32_t warps = (launch_.threads + kLanes - 1) / kLanes;
    cta->place = place;
    cta->registers = AlignedBytes(std::size_t{launch_.kernel->register_bytes} * warps);
    // A vector check of the last bytes may look at whole words.
    cta->shared = AlignedBytes(launch_.shared_bytes);
    cta->shared_shadow = AlignedBytes(launch_.shared_bytes);
    cta->local = AlignedBytes(std::size_t{launch_.kernel->local_bytes} * warps * kLanes);
    cta->local_shadow = AlignedBytes(cta->local.size());
    return cta;
  }

  void start(Cta& cta, std::uint64_t linear) const {
    const std::uint32_t* grid = launch_.shape.grid;
    cta.id[0] = static_cast<std::uint32_t>(linear % grid[0]);
    cta.id[1] = static_cast<std::uint32_t>(linear / grid[0] % grid[1]);
    cta.id[2] = static_cast<std::uint32_t>(linear / grid[0] / grid[1]);
    if (cta.shared_shadow.size() != 0) std::memset(cta.shared_shadow.data(), 0, cta.shared_shadow.size());
    if (cta.local_shadow.size() != 0) std::memset(cta.local_shadow.data(), 0, cta.local_shadow.size());
    poison(cta.registers);
    cta.barriers = {};
    cta.copies_in_flight = 0;
    const std::uint32_t warps = (launch_.threads + kLanes - 1) / kLanes;
    cta.warps.clear();
    cta.warps.resize(warps);
    cta.live_warps = warps;
    for (std::uint32_t i = 0; i < warps; ++i) start_warp(cta, i);
    ++launch_.statistics.ctas;
  }

 private:
  static void poison(AlignedBytes& registers) {
    for (std::size_t at = 0; at + 4 <= registers.size(); at += 4) std::memcpy(registers.data() + at, &kPoison, 4);
  }

  void start_warp(Cta& cta, std::uint32_t index) const {
    Warp& warp = cta.warps[index];
    warp.base[0] = cta.registers.data() + std::size_t{launch_.kernel->register_bytes} * index;
    warp.base[1] = launch_.kernel->constants.data();
    warp.cta = &cta;
    warp.launch = &launch_;
    warp.index = index;
    const std::uint32_t threads = std::min(kLanes, launch_.threads - index * kLanes);
    warp.exists = threads == kLanes ? kAllLanes : (1u << threads) - 1;
    warp.active = warp.exists;
    warp.limit = ~0u;
    if (launch_.kernel->local_bytes != 0) {
      const std::size_t offset = std::size_t{launch_.kernel->local_bytes} * kLanes * index;
      warp.local = cta.local.data() + offset;
      warp.local_shadow = reinterpret_cast<std::uint8_t*>(cta.local_shadow.data()) + offset;
    }
  }

  Launch& launch_;
};

/// The seeded scheduler.
class Scheduler {
 public:
  Scheduler(Launch& launch, std::uint32_t places) : launch_(launch), factory_(launch) {
    total_ = std::uint64_t{launch.shape.grid[0]} * launch.shape.grid[1] * launch.shape.grid[2];
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(places, total_));
    launch.resident.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      storage_.push_back(factory_.storage(i));
      launch.resident[i] = storage_.back().get();
      factory_.start(*storage_.back(), started_++);
    }
  }

  void run() {
    std::uint64_t seen_progress = launch_.progress;
    std::uint64_t idle = 0;
    for (refresh(); !ready_.empty();) {
      Warp& warp = *ready_[launch_.random.below(static_cast<std::uint32_t>(ready_.size()))];
      const std::uint32_t ran = run_slice(warp, slice());
      launch_.instructions += ran;
      idle = seen_progress == launch_.progress ? idle + ran : 0;
      seen_progress = launch_.progress;
      if (idle > kMostIdleInstructions) {
        throw Fault(
            Fault::Kind::kDeadlock,
            fmt::format("{} instructions ran without a store, a barrier or an exit in any resident CTA: they wait "
                        "for something that nobody will do{}",
                        idle, standings(launch_)));
      }
      if (launch_.roster_changed) refresh();
    }
  }

 private:
  /// Mostly long enough to be quick, sometimes so short that neighbours meet between two instructions.
  std::uint32_t slice() {
    const std::uint64_t bits = launch_.random.next();
    if ((bits & 7) == 0) return 1 + static_cast<std::uint32_t>(bits >> 32) % 8;
    return 1 + static_cast<std::uint32_t>(bits >> 32) % 512;
  }

  void refresh() {
    launch_.roster_changed = false;
    for (const std::unique_ptr<Cta>& cta : storage_) {
      if (cta->live_warps == 0 && launch_.resident[cta->place] != nullptr) {
        if (started_ < total_) {
          factory_.start(*cta, started_++);
        } else {
          launch_.resident[cta->place] = nullptr;
        }
      }
    }
    ready_.clear();
    bool unfinished = false;
    for (Cta* cta : launch_.resident) {
      if (cta == nullptr) continue;
      for (Warp& warp : cta->warps) {
        if (warp.done()) continue;
        unfinished = true;
        const bool can_run =
            warp.active != 0 || std::any_of(warp.parked.begin(), warp.parked.end(),
                                            [](const auto& each) { return each.state == LaneGroup::State::kReady; });
        if (can_run) ready_.push_back(&warp);
      }
    }
    if (unfinished && ready_.empty()) {
      throw Fault(Fault::Kind::kDeadlock, "nobody can go on:" + standings(launch_));
    }
  }

  Launch& launch_;
  CtaFactory factory_;
  std::uint64_t total_ = 0;
  std::uint64_t started_ = 0;
  std::vector<std::unique_ptr<Cta>> storage_;
  std::vector<Warp*> ready_;
};

}  // namespace

std::uint32_t run_slice(Warp& warp, std::uint32_t budget) {
  const Operation* code = warp.launch->kernel->code.data();
  std::uint64_t* counts = warp.launch->class_counts.data();
  std::uint32_t left = budget;
  if (warp.active == 0 || !warp.parked.empty()) select_group(warp);
  while (warp.active != 0 && left != 0) {
    warp.interrupted = false;
    do {
      const Operation& operation = code[warp.pc];
      const std::uint32_t mask =
          operation.guard == kNoRef ? warp.active : warp.active & warp.predicate(operation.guard);
      warp.operation = &operation;
      warp.next = warp.pc + 1;
      ++counts[operation.statistics_class];
      --left;
      if (mask != 0) {
        warp.mask = mask;
        operation.run(warp, operation);
      }
      warp.pc = warp.next;
    } while (left != 0 && !warp.interrupted && warp.pc < warp.limit);
    if (warp.active == 0 || !warp.parked.empty()) select_group(warp);
  }
  return budget - left;
}

void run_grid(Launch& launch, std::uint32_t resident) {
  Scheduler(launch, resident).run();
}

}  // namespace flashmask::emulator
