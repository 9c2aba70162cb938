#include "generator/architecture.h"

namespace flashmask::generator {
namespace {

/// The figures in which architectures differ; the others are the same since sm_80. Of an SM's shared memory the system
/// reserves 1 KiB for every CTA, so one CTA gets all but that.
constexpr TargetLimits limits(int shared_kib_per_sm, int warps_per_sm, int ctas_per_sm) {
  constexpr int kKib = 1024;
  constexpr int kReservedKib = 1;
  constexpr int kRegisters = 64 * 1024;
  return {.shared_bytes_per_cta = (shared_kib_per_sm - kReservedKib) * kKib,
          .shared_bytes_per_sm = shared_kib_per_sm * kKib,
          .reserved_shared_bytes_per_cta = kReservedKib * kKib,
          .registers_per_thread = 255,
          .registers_per_cta = kRegisters,
          .registers_per_sm = kRegisters,
          .warps_per_sm = warps_per_sm,
          .ctas_per_sm = ctas_per_sm};
}

// From the CUDA C++ programming guide 13.0, table "Technical Specifications per Compute Capability". It has no column
// for 8.8, 10.3 and 12.1: theirs are those of NVIDIA's occupancy calculator (cuda_occupancy.h of the toolkit 13.0) and
// of cuda::arch_traits (CCCL), which agree with the guide on all the others.
constexpr Architecture kArchitectures[] = {
    {80, false, limits(164, 64, 32)}, {86, false, limits(100, 48, 16)}, {87, false, limits(164, 48, 16)},
    {88, false, limits(100, 48, 16)}, {89, false, limits(100, 48, 24)}, {90, true, limits(228, 64, 32)},
    {100, true, limits(228, 64, 32)}, {103, true, limits(228, 64, 32)}, {110, true, limits(228, 48, 24)},
    {120, true, limits(100, 48, 24)}, {121, true, limits(100, 48, 24)},
};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const Architecture* find_architecture(const Target& target) {
  for (const Architecture& architecture : kArchitectures)
    if (architecture.compute_capability == target.compute_capability &&
        (architecture.has_arch_specific || !target.arch_specific))
      return &architecture;
  return nullptr;
}

}  // namespace flashmask::generator

namespace flashmask {

std::optional<TargetLimits> limits_of(const Target& target) {
  const generator::Architecture* architecture = generator::find_architecture(target);
  return architecture == nullptr ? std::nullopt : std::optional(architecture->limits);
}

}  // namespace flashmask
