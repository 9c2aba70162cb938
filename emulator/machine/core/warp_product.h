#pragma once

#include <cstdint>
#include <vector>

#include "emulator/machine/core/operation.h"

namespace flashmask::emulator {

/// The operands of one wmma.mma, D = A·B + C with A rows x 16 and B 16 x columns, which are too many for an Operation.
struct WarpProduct {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  bool a_by_columns = false;  ///< how the fragment was loaded; else by rows
  bool b_by_columns = false;
  bool c_is_half = false;  ///< pairs of f16 in each register; else one f32
  bool d_is_half = false;
  // The registers of the fragments.
  std::vector<Ref> a, b, c, d;
};

}  // namespace flashmask::emulator
