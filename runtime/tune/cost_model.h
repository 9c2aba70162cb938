#pragma once

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask::tune {

/// What an emulated launch did, per unit of its work: a quarter of a full tile (tile_cost()), and a block, which is a
/// row of tiles of a forward and a column of a backward.
struct UnitCosts {
  double instructions_per_quarter = 0;
  double instructions_per_block = 0;
  double conflicts_per_quarter = 0;
  double bytes_per_quarter = 0;
  double bytes_per_block = 0;
};

/// The work of a whole problem, over all heads.
struct WorkAmount {
  double quarters = 0;
  double tiles = 0;  ///< visited
  double blocks = 0;
};

/// A quantity of two launches of different size, as `per_quarter * quarters + per_block * blocks`; neither below 0.
struct LinearCost {
  double per_quarter = 0;
  double per_block = 0;
};
LinearCost solve_cost(const WorkAmount& small, double of_small, const WorkAmount& large, double of_large);

/// A GPU as the model sees it.
struct ModelledGpu {
  int multiprocessors;
  double clock_hz;
  double flops_per_clock;  ///< of an SM, 16-bit operands
  double bytes_per_clock;  ///< of global memory and L2, all SMs together
  double launch_seconds;
};
/// A usual GPU of the target's architecture.
ModelledGpu modelled_gpu(const Target& target);

/// Seconds of a launch by a roofline with exposed remainders: the matrix units and the issue slots of an SM run side by
/// side, as far as the configuration lets them; blocks come in waves where CTAs do not go on to further ones. A model:
/// good for trying a tuner without a GPU, and for nothing else. Pure.
double modelled_seconds(const KernelDescriptor& descriptor, const TileConfig& config, const UnitCosts& costs,
                        const WorkAmount& work, const ModelledGpu& gpu);

/// The least that any configuration can take: the arithmetic of the visible scores at the full rate.
double roofline_seconds(const KernelDescriptor& descriptor, double visible_scores, const ModelledGpu& gpu);

}  // namespace flashmask::tune
