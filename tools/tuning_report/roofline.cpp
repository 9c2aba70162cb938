#include "tools/tuning_report/roofline.h"

namespace flashmask::tuning_report {
namespace {

constexpr double kOperandBytes = 2, kSumBytes = 4;

/// Of an SM in a clock: dense, 16-bit operands, fp32 sums, as NVIDIA publishes it for A100 and H100.
std::optional<double> flops_per_clock(int compute_capability) {
  if (compute_capability == 80) return 2048;
  if (compute_capability == 90) return 4096;
  return std::nullopt;
}

double flops_of_score(const KernelDescriptor& descriptor) {
  const double qk = 2.0 * descriptor.head_dim_qk, v = 2.0 * descriptor.head_dim_v;
  return descriptor.pass == Pass::kBackward ? 3 * qk + 2 * v : qk + v;
}

}  // namespace

double flops_of(const KernelDescriptor& descriptor, double visible_scores) {
  return visible_scores * flops_of_score(descriptor);
}

double flops_per_byte(const KernelDescriptor& descriptor, const TileConfig& config) {
  const double rows = kOperandBytes * (static_cast<double>(descriptor.head_dim_qk) + descriptor.head_dim_v);
  if (descriptor.pass == Pass::kBackward)
    return config.tile_k * flops_of_score(descriptor) / (rows + kSumBytes * descriptor.head_dim_qk);
  return config.tile_q * flops_of_score(descriptor) / rows;
}

std::optional<double> arithmetic_ceiling(const TuningGpu& gpu, int sm_clock_mhz) {
  const auto rate = flops_per_clock(gpu.compute_capability);
  if (!rate || sm_clock_mhz <= 0 || gpu.multiprocessors <= 0) return std::nullopt;
  return *rate * gpu.multiprocessors * sm_clock_mhz * 1e6;
}

}  // namespace flashmask::tuning_report
