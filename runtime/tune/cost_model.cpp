#include "runtime/tune/cost_model.h"

#include <algorithm>
#include <cmath>

#include "generator/kernel_family.h"

namespace flashmask::tune {
namespace {

/// FLOP of one score: a forward multiplies Q K^T and P V, a backward five products.
double flops_of_score(const KernelDescriptor& descriptor) {
  const double qk = 2.0 * descriptor.head_dim_qk;
  const double v = 2.0 * descriptor.head_dim_v;
  return descriptor.pass == Pass::kBackward ? 3 * qk + 2 * v : qk + v;
}

/// Which share of the shorter of two kinds of work hides behind the longer.
double hidden_share(const TileConfig& config, int ctas_per_sm) {
  constexpr double kAlone = 0.5;
  constexpr double kSecondCta = 0.25;  // its products fill the first one's softmax
  constexpr double kOverlap = 0.35;    // softmax of one tile beside products of the next
  constexpr double kTurns = 0.05;      // warpgroups that do not drift into step
  constexpr double kMost = 0.95;
  double share = kAlone;
  if (ctas_per_sm > 1) share += kSecondCta;
  if (config.overlap) share += kOverlap;
  if (config.turns) share += kTurns;
  return std::min(share, kMost);
}

}  // namespace

LinearCost solve_cost(const WorkAmount& small, double of_small, const WorkAmount& large, double of_large) {
  const double determinant = small.quarters * large.blocks - large.quarters * small.blocks;
  if (std::abs(determinant) < 1e-9)
    return {.per_quarter = large.quarters > 0 ? of_large / large.quarters : 0, .per_block = 0};
  const double per_quarter = (of_small * large.blocks - of_large * small.blocks) / determinant;
  if (per_quarter < 0) return {.per_quarter = 0, .per_block = large.blocks > 0 ? of_large / large.blocks : 0};
  const double per_block = (small.quarters * of_large - large.quarters * of_small) / determinant;
  if (per_block < 0) return {.per_quarter = large.quarters > 0 ? of_large / large.quarters : 0, .per_block = 0};
  return {.per_quarter = per_quarter, .per_block = per_block};
}

ModelledGpu modelled_gpu(const Target& target) {
  // SMs and boost clocks of an A100, an H100 SXM and an RTX PRO 6000, as NVIDIA publishes them.
  if (target.compute_capability == 90) return {132, 1.59e9, 4096, 5500, 3e-6};
  if (target.compute_capability >= 100) return {188, 2.2e9, 1024, 4000, 3e-6};
  return {108, 1.41e9, 2048, 4000, 3e-6};
}

double modelled_seconds(const KernelDescriptor& descriptor, const TileConfig& config, const UnitCosts& costs,
                        const WorkAmount& work, const ModelledGpu& gpu) {
  constexpr double kIssueSlots = 4;  // warp instructions of an SM in a clock
  const int ctas = std::max(1, estimate_resources(descriptor, config).ctas_per_sm);
  const double instructions =
      costs.instructions_per_quarter * work.quarters + costs.instructions_per_block * work.blocks;
  const double issue = instructions / kIssueSlots + costs.conflicts_per_quarter * work.quarters;
  const double scores = work.tiles * config.tile_q * config.tile_k;
  const double matrix = scores * flops_of_score(descriptor) / gpu.flops_per_clock;
  const double longer = std::max(issue, matrix);
  const double exposed = std::min(issue, matrix) * (1 - hidden_share(config, ctas));
  double clocks = (longer + exposed) / gpu.multiprocessors;
  if (!generator::uses_wgmma(descriptor)) {
    // CTAs do one block each: the last wave may be nearly empty.
    const double slots = static_cast<double>(gpu.multiprocessors) * ctas;
    const double waves = work.blocks / slots;
    if (waves > 0) clocks *= std::ceil(waves) / waves;
  }
  const double bytes = costs.bytes_per_quarter * work.quarters + costs.bytes_per_block * work.blocks;
  clocks = std::max(clocks, bytes / gpu.bytes_per_clock);
  return gpu.launch_seconds + clocks / gpu.clock_hz;
}

double roofline_seconds(const KernelDescriptor& descriptor, double visible_scores, const ModelledGpu& gpu) {
  return visible_scores * flops_of_score(descriptor) / (gpu.flops_per_clock * gpu.multiprocessors * gpu.clock_hz);
}

}  // namespace flashmask::tune
