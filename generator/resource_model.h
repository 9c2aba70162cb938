#pragma once

#include "flashmask/kernel_descriptor.h"
#include "flashmask/occupancy.h"
#include "flashmask/tile_config.h"

namespace flashmask::generator {

/// What a CTA of the kernel takes: shared memory to the byte, registers as an estimate, at most what the compiler may
/// give a thread (beyond it spills).
CtaNeeds needs_of(const KernelDescriptor& descriptor, const TileConfig& config, const TargetLimits& limits);
/// The same beside the limits of an SM.
ResourceEstimate estimate_resources(const KernelDescriptor& descriptor, const TileConfig& config,
                                    const TargetLimits& limits);

}  // namespace flashmask::generator
