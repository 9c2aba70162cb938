#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/machine/core/matrix_descriptor.h"
#include "emulator/machine/core/operation.h"

namespace flashmask::emulator {

/// The operands of one wgmma.mma_async, which are too many for an Operation.
struct WarpgroupProduct {
  std::uint32_t columns = 0;      ///< n: 8, 16 … 256
  std::vector<Ref> accumulators;  ///< columns / 2 registers per lane
  bool a_in_registers = false;
  std::array<Ref, 4> a = {kNoRef, kNoRef, kNoRef, kNoRef};  ///< a fragment, or a descriptor in the first
  Ref b = kNoRef;                                           ///< a descriptor
  Ref accumulates = kNoRef;                                 ///< a predicate: D = A·B + D rather than A·B
  bool negates = false;                                     ///< A·B changes its sign
  Major a_major = Major::kK;
  Major b_major = Major::kK;
};

/// What orders the registers and the products of a warpgroup: Operation::mode of the wgmma instructions that are not
/// products. Operation::immediate of kWaitGroup is how many groups may stay in flight.
enum class WarpgroupOrdering : std::uint8_t { kFence, kCommitGroup, kWaitGroup };

}  // namespace flashmask::emulator
