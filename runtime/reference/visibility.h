#pragma once

#include <cstdint>

#include "flashmask/mask_shape.h"

namespace flashmask::reference {

/// What is added to a query row to get the key on its diagonal. 64 bits, for lengths may be any int.
constexpr std::int64_t diagonal_offset(CausalAlignment alignment, int seqlen_q, int seqlen_k) {
  return alignment == CausalAlignment::kBottomRight ? std::int64_t{seqlen_k} - seqlen_q : 0;
}

/// Whether query row `i` sees key `j`: the definition of the masks, in one place. `vectors` are column j's values, not
/// read for forms without any. Rows, keys, windows and vectors may be any int; batch and heads of the shape do not
/// matter.
bool is_visible(const MaskShape& shape, const std::int32_t* vectors, int i, int j);

}  // namespace flashmask::reference
