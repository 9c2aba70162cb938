#pragma once

#include "flashmask/reference.h"

namespace flashmask::reference {

/// Throws Error{kInvalidArgument} listing every rule that the problem breaks: extents, head ratios, span lengths,
/// scale.
void check(const ForwardProblem& problem);
void check(const BackwardProblem& problem);

}  // namespace flashmask::reference
