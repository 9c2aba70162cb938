#pragma once

#include <optional>

#include "flashmask/tuning.h"

namespace flashmask::tuning_report {

/// FLOP of a problem with so many visible scores: two products of a forward, five of a backward.
double flops_of(const KernelDescriptor& descriptor, double visible_scores);

/// FLOP of a full tile for each byte that it brings into its SM: keys and values for the query rows of a forward;
/// queries, dO and the sums of dQ for the keys of a backward.
double flops_per_byte(const KernelDescriptor& descriptor, const TileConfig& config);

/// FLOP/s of the matrix units with 16-bit operands at that clock; empty where the rate or the clock is not known.
std::optional<double> arithmetic_ceiling(const TuningGpu& gpu, int sm_clock_mhz);

}  // namespace flashmask::tuning_report
