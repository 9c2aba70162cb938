#include "flashmask/occupancy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flashmask {
namespace {

constexpr int kThreadsPerWarp = 32;
constexpr int kSharedGranule = 128;    // bytes, per CTA
constexpr int kRegisterGranule = 256;  // registers, per warp
// An SM has four schedulers, each with a quarter of the registers, and a warp belongs to one of them.
constexpr int kSchedulers = 4;

constexpr int round_up(int value, int step) {
  return (value + step - 1) / step * step;
}

int registers_per_warp(const CtaNeeds& needs) {
  return round_up(needs.registers_per_thread * kThreadsPerWarp, kRegisterGranule);
}

/// A launch is checked as if the CTA's warps took all schedulers equally.
int registers_per_cta(const CtaNeeds& needs) {
  return registers_per_warp(needs) * round_up(needs.warps, kSchedulers);
}

int ctas_by_registers(const CtaNeeds& needs, const TargetLimits& limits) {
  if (needs.registers_per_thread > limits.registers_per_thread || registers_per_cta(needs) > limits.registers_per_cta)
    return 0;
  const int warps_per_scheduler = limits.registers_per_sm / kSchedulers / registers_per_warp(needs);
  return warps_per_scheduler * kSchedulers / needs.warps;
}

int ctas_by_shared_memory(const CtaNeeds& needs, const TargetLimits& limits) {
  if (needs.shared_bytes > limits.shared_bytes_per_cta) return 0;
  return limits.shared_bytes_per_sm /
         round_up(needs.shared_bytes + limits.reserved_shared_bytes_per_cta, kSharedGranule);
}

}  // namespace

std::string_view to_string(SmLimit limit) {
  switch (limit) {
    case SmLimit::kSharedMemory:
      return "shared memory";
    case SmLimit::kRegisters:
      return "registers";
    case SmLimit::kWarps:
      return "warps";
    case SmLimit::kCtas:
      return "CTAs";
  }
  return "unknown";
}

Occupancy estimate_occupancy(const CtaNeeds& needs, const TargetLimits& limits) {
  if (needs.warps < 1 || needs.registers_per_thread < 1 || needs.shared_bytes < 0) return {};  // no CTA at all
  return {.by_shared_memory = ctas_by_shared_memory(needs, limits),
          .by_registers = ctas_by_registers(needs, limits),
          .by_warps = limits.warps_per_sm / needs.warps,
          .by_ctas = limits.ctas_per_sm};
}

int ctas_per_sm(const Occupancy& occupancy) {
  return std::min({occupancy.by_shared_memory, occupancy.by_registers, occupancy.by_warps, occupancy.by_ctas});
}

SmLimit limit_of(const Occupancy& occupancy) {
  const int least = ctas_per_sm(occupancy);
  if (occupancy.by_shared_memory == least) return SmLimit::kSharedMemory;
  if (occupancy.by_registers == least) return SmLimit::kRegisters;
  return occupancy.by_warps == least ? SmLimit::kWarps : SmLimit::kCtas;
}

std::set<SmLimit> exceeded_limits(const Occupancy& occupancy) {
  std::set<SmLimit> exceeded;
  if (occupancy.by_shared_memory == 0) exceeded.insert(SmLimit::kSharedMemory);
  if (occupancy.by_registers == 0) exceeded.insert(SmLimit::kRegisters);
  if (occupancy.by_warps == 0) exceeded.insert(SmLimit::kWarps);
  if (occupancy.by_ctas == 0) exceeded.insert(SmLimit::kCtas);
  return exceeded;
}

std::vector<std::string> broken_limits(const CtaNeeds& needs, const TargetLimits& limits, std::string_view target) {
  std::vector<std::string> broken;
  if (needs.shared_bytes > limits.shared_bytes_per_cta)
    broken.push_back(fmt::format("{} bytes of shared memory are needed, {} allows {} per CTA", needs.shared_bytes,
                                 target, limits.shared_bytes_per_cta));
  if (needs.registers_per_thread > limits.registers_per_thread)
    broken.push_back(fmt::format("{} registers per thread are needed, {} allows {}", needs.registers_per_thread, target,
                                 limits.registers_per_thread));
  if (registers_per_cta(needs) > limits.registers_per_cta)
    broken.push_back(fmt::format("{} registers are needed by {} warps of {} per thread, {} allows {} per CTA",
                                 registers_per_cta(needs), needs.warps, needs.registers_per_thread, target,
                                 limits.registers_per_cta));
  if (needs.warps > limits.warps_per_sm)
    broken.push_back(
        fmt::format("{} warps per CTA are needed, an SM of {} holds {}", needs.warps, target, limits.warps_per_sm));
  return broken;
}

}  // namespace flashmask
