#pragma once

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {

/// Runs up to `budget` instructions of the warp, fewer when all of its lanes wait or end. Returns how many ran.
std::uint32_t run_slice(Warp& warp, std::uint32_t budget);

/// Runs the whole grid of `launch`, `resident` CTAs at a time. Throws Fault.
void run_grid(Launch& launch, std::uint32_t resident);

}  // namespace flashmask::emulator
