#pragma once

#include "flashmask/mask.h"
#include "runtime/mask/masked_columns.h"

namespace flashmask {

/// The tightest form that holds these columns: none < causal < window < C1 < C2 < F2 < F4, bottom-right before
/// top-left. Throws Error{kInvalidArgument} if none does, as said at Mask::from_dense().
Mask hold_tightest(const MaskedColumns& columns);

/// These columns in the form and alignment that the caller chose. Throws Error{kInvalidArgument} if they do not fit,
/// naming the first column that does not and the tightest form that would do.
Mask hold_as(const MaskedColumns& columns, MaskForm form, CausalAlignment alignment);

}  // namespace flashmask
