#include "emulator/machine/core/interpreter.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "emulator/machine/core/flow.h"
#include "emulator/machine/core/shadow.h"

namespace flashmask::emulator {
namespace {

/// Instructions without a store, a barrier or an exit anywhere in the resident set, after which it counts as stuck.
constexpr std::uint64_t kMostIdleInstructions = std::uint64_t{1} << 26;
/// What registers hold before they are written: a quiet NaN that is easy to see.
constexpr std::uint32_t kPoison = 0x7fc0dead;
constexpr std::uint8_t kLeftOver = 0xff;
/// mbarriers of a CTA whose time is looked up as quickly as that of its warps.
constexpr std::uint32_t kMbarriersAtHome = 32;
/// Registers of an SM, which a CTA starts with in equal shares.
constexpr std::uint32_t kRegisters = 65536;
constexpr std::uint32_t kMostRegistersPerThread = 255;
constexpr std::uint32_t kRegisterStep = 8;
/// How often waits may fail for want of anybody who could go on, without anything happening between.
constexpr int kMostTimeouts = 64;

/// Makes CTAs of one launch; the storage of a finished one serves the next.
class CtaFactory {
 public:
  explicit CtaFactory(Launch& launch) : launch_(launch) {}

  std::unique_ptr<Cta> storage(std::uint32_t place) const {
    auto cta = std::make_unique<Cta>();
    const std::uint32_t warps = (launch_.threads + kLanes - 1) / kLanes;
    cta->place = place;
    cta->registers = AlignedBytes(std::size_t{launch_.kernel->register_bytes} * warps);
    cta->shared = AlignedBytes(launch_.shared_bytes);
    cta->shared_shadow = AlignedBytes(launch_.shared_bytes);
    if (launch_.races) cta->races = RaceShadow(launch_.shared_bytes);
    cta->pending_reads.resize(launch_.shared_bytes / RaceShadow::kGranule + 1);
    cta->local = AlignedBytes(std::size_t{launch_.kernel->local_bytes} * warps * kLanes);
    cta->local_shadow = AlignedBytes(cta->local.size());
    return cta;
  }

  /// Starts the cluster with this number: its CTAs have consecutive agents.
  void start(Cluster& cluster, std::uint64_t linear) const {
    const std::uint32_t* size = launch_.shape.cluster;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::uint32_t clusters = launch_.shape.grid[axis] / size[axis];
      cluster.id[axis] = static_cast<std::uint32_t>(linear % clusters);
      linear /= clusters;
    }
    cluster.first_agent = launch_.next_agent;
    for (std::uint32_t rank = 0; rank < cluster.ctas.size(); ++rank) {
      Cta& cta = *cluster.ctas[rank];
      cta.rank = rank;
      cta.cluster = &cluster;
      cta.id[0] = cluster.id[0] * size[0] + rank % size[0];
      cta.id[1] = cluster.id[1] * size[1] + rank / size[0] % size[1];
      cta.id[2] = cluster.id[2] * size[2] + rank / size[0] / size[1];
      start(cta);
    }
    cluster.end_agent = launch_.next_agent;
    const Cta& first = *cluster.ctas.front();
    cluster.arriving = cluster.completed = Order(first.first_agent, first.agents);
  }

 private:
  void start(Cta& cta) const {
    if (cta.shared_shadow.size() != 0) std::memset(cta.shared_shadow.data(), 0, cta.shared_shadow.size());
    if (cta.local_shadow.size() != 0) std::memset(cta.local_shadow.data(), 0, cta.local_shadow.size());
    poison(cta.registers);
    fill_reserved(cta);
    cta.barriers = {};
    cta.async_copies_in_flight = 0;
    if (launch_.races) cta.races.clear();
    std::fill(cta.pending_reads.begin(), cta.pending_reads.end(), std::uint16_t{0});
    cta.mbarriers.clear();
    cta.warpgroups.clear();
    cta.free_registers = 0;
    const std::uint32_t warps = (launch_.threads + kLanes - 1) / kLanes;
    cta.first_agent = launch_.next_agent;
    cta.agents = warps + kMbarriersAtHome;
    cta.agents_used = warps;
    launch_.next_agent += cta.agents;
    launch_.homes.push_back({cta.first_agent, warps, {cta.id[0], cta.id[1], cta.id[2]}});
    for (Barrier& barrier : cta.barriers) barrier.order = Order(cta.first_agent, cta.agents);
    cta.warps.clear();
    cta.warps.resize(warps);
    cta.live_warps = warps;
    for (std::uint32_t i = 0; i < warps; ++i) start_warp(cta, i);
    ++launch_.statistics.ctas;
  }

  static void poison(AlignedBytes& registers) {
    for (std::size_t at = 0; at + 4 <= registers.size(); at += 4) std::memcpy(registers.data() + at, &kPoison, 4);
  }

  /// Whoever had it before has left something there; nobody promises zeros.
  void fill_reserved(Cta& cta) const {
    const std::uint32_t bytes = launch_.kernel->reserved_shared_bytes;
    if (bytes == 0) return;
    std::memset(cta.shared.data(), kLeftOver, bytes);
    std::memset(cta.shared_shadow.data(), kWritten, bytes);
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
    warp.order.agent = cta.first_agent + index;
    warp.order.common = Order(cta.first_agent, cta.agents);
    const std::uint32_t share = kRegisters / (static_cast<std::uint32_t>(cta.warps.size()) * kLanes);
    const std::uint32_t named = launch_.kernel->maximal_registers;
    const std::uint32_t most = named == 0 ? kMostRegistersPerThread : std::min(named, kMostRegistersPerThread);
    warp.registers = std::min(share, most) / kRegisterStep * kRegisterStep;
    if (launch_.kernel->local_bytes != 0) {
      const std::size_t offset = std::size_t{launch_.kernel->local_bytes} * kLanes * index;
      warp.local = cta.local.data() + offset;
      warp.local_shadow = reinterpret_cast<std::uint8_t*>(cta.local_shadow.data()) + offset;
    }
  }

  Launch& launch_;
};

/// Keeps the resident set filled with clusters and gives their warps turns.
class Scheduler {
 public:
  Scheduler(Launch& launch, std::uint32_t places) : launch_(launch), factory_(launch) {
    const std::uint32_t* cluster = launch.shape.cluster;
    const std::uint32_t size = cluster[0] * cluster[1] * cluster[2];
    total_ = std::uint64_t{launch.shape.grid[0]} * launch.shape.grid[1] * launch.shape.grid[2] / size;
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>((places + size - 1) / size, total_));
    launch.resident.resize(std::size_t{count} * size);
    clusters_.resize(count);
    for (Cluster& each : clusters_) {
      for (std::uint32_t i = 0; i < size; ++i) {
        const auto place = static_cast<std::uint32_t>(storage_.size());
        storage_.push_back(factory_.storage(place));
        each.ctas.push_back(storage_.back().get());
        launch.resident[place] = storage_.back().get();
      }
      factory_.start(each, started_++);
    }
  }

  void run() {
    std::uint64_t seen_progress = launch_.progress;
    std::uint64_t idle = 0;
    for (refresh(); unfinished_;) {
      if (ready_.empty()) {
        help_waiting();
      } else {
        const Turns::Turn turn = launch_.turns->next(ready_, copies_that_may_land(launch_), idle);
        if (turn.lands) {
          land_one(launch_, turn.index);
        } else {
          const std::uint32_t ran = run_slice(*ready_[turn.index], turn.budget);
          launch_.instructions += ran;
          idle += ran;
        }
      }
      if (seen_progress != launch_.progress) {
        idle = 0;
        timeouts_ = 0;
      }
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
  /// Nobody can run: a copy lands, or else the waits that may fail do.
  void help_waiting() {
    const std::size_t copies = copies_that_may_land(launch_);
    if (copies != 0) {
      land_one(launch_, launch_.turns->landing(copies));
      return;
    }
    bool anybody = false;
    for (Cta* cta : launch_.resident) {
      if (cta == nullptr) continue;
      for (Warp& warp : cta->warps) {
        for (const LaneGroup& group : warp.parked) {
          if (group.state != LaneGroup::State::kWaiting) continue;
          warp.times_out |= group.mask;
          anybody = true;
        }
      }
    }
    if (!anybody || ++timeouts_ > kMostTimeouts) {
      throw Fault(Fault::Kind::kDeadlock, "nobody can go on:" + standings(launch_));
    }
    wake_waiting(launch_);
  }

  static bool ended(const Cluster& cluster) {
    return std::all_of(cluster.ctas.begin(), cluster.ctas.end(), [](const Cta* cta) { return cta->live_warps == 0; });
  }

  void refresh() {
    launch_.roster_changed = false;
    for (Cluster& cluster : clusters_) {
      if (!ended(cluster) || launch_.resident[cluster.ctas.front()->place] == nullptr) continue;
      if (started_ < total_) {
        factory_.start(cluster, started_++);
      } else {
        for (const Cta* cta : cluster.ctas) launch_.resident[cta->place] = nullptr;
      }
    }
    ready_.clear();
    unfinished_ = false;
    for (Cta* cta : launch_.resident) {
      if (cta == nullptr) continue;
      for (Warp& warp : cta->warps) {
        if (warp.done()) continue;
        unfinished_ = true;
        const bool can_run =
            warp.active != 0 || std::any_of(warp.parked.begin(), warp.parked.end(),
                                            [](const auto& each) { return each.state == LaneGroup::State::kReady; });
        if (can_run) ready_.push_back(&warp);
      }
    }
  }

  Launch& launch_;
  CtaFactory factory_;
  std::uint64_t total_ = 0;  ///< clusters
  std::uint64_t started_ = 0;
  int timeouts_ = 0;
  bool unfinished_ = false;
  std::vector<std::unique_ptr<Cta>> storage_;
  std::vector<Cluster> clusters_;
  std::vector<Warp*> ready_;
};

void tell(Warp& warp) {
  const std::uint32_t lanes = warp.mask & ~warp.told;
  warp.told &= ~warp.mask;
  if (lanes == 0) return;
  const Launch& launch = *warp.launch;
  const std::uint32_t line = warp.operation->line;
  const std::vector<std::string>& lines = launch.program->lines;
  TraceStep step;
  std::copy_n(warp.cta->id, 3, step.cta);
  step.warp = warp.index;
  step.lanes = lanes;
  step.line = line;
  if (line != 0 && line <= lines.size()) step.text = lines[line - 1];
  (*launch.trace)(step);
}

}  // namespace

std::uint32_t run_slice(Warp& warp, std::uint32_t budget) {
  const Launch& launch = *warp.launch;
  const Operation* code = launch.kernel->code.data();
  std::uint64_t* counts = warp.launch->class_counts.data();
  const bool watched = launch.kernel->tracks_registers || launch.trace != nullptr;
  std::uint32_t left = budget;
  warp.turn_ends = false;
  if (warp.active == 0 || !warp.parked.empty()) select_group(warp);
  while (warp.active != 0 && left != 0 && !warp.turn_ends) {
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
        if (watched) {
          if (launch.trace != nullptr) tell(warp);
          if (launch.kernel->tracks_registers) check_registers(warp, warp.pc);
        }
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
