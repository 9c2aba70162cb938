#pragma once

#include "flashmask/reference.h"

namespace flashmask::reference {

/// How large the terms are of which gradients are sums, where these cancel: dS = P o (dP - D), and so dQ and dK, may be
/// 0 in exact arithmetic, while fp32 leaves a part in 2^23 of dP and D.
struct CancellingTerms {
  double query = 0;  ///< max over rows of scale * sum(P o (|dP| + |D|)) * max |K|
  double key = 0;    ///< max over keys of scale * sum(P o (|dP| + |D|)) * max |Q|
};

/// gradients(), and the size of its terms.
Gradients<double> gradients(const BackwardProblem& problem, int threads, CancellingTerms& terms);

}  // namespace flashmask::reference
