#pragma once

#include <string>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/mask.h"
#include "flashmask/mask_kinds.h"
#include "flashmask/tuning.h"

namespace flashmask {

/// A problem that kernels are timed on. It stands for all problems of its bucket.
struct TuningProblem {
  KernelDescriptor descriptor;
  int batch = 1;
  int num_heads_q = 0;
  int num_heads_kv = 0;  ///< divides num_heads_q
  int seqlen_q = 0;
  int seqlen_k = 0;
  std::string mask_kind{};         ///< of mask_kinds.h; what it builds must be what the descriptor's form holds
  MaskArguments mask_arguments{};  ///< of the kind
};

/// Every rule that the problem breaks: numbers, and a mask that cannot be built or that the form does not hold.
FLASHMASK_API std::vector<std::string> broken_rules(const TuningProblem& problem);
/// Its mask, in the descriptor's form, with one mask head. Throws Error{kInvalidArgument}.
FLASHMASK_API Mask mask_of(const TuningProblem& problem);
/// What a caller with this problem would hint: the density is the mask's.
FLASHMASK_API ProblemHint hint_of(const TuningProblem& problem);
/// One line: "batch 1, 16 heads, 8192x8192, causal-documents document-lengths=2048,6144".
FLASHMASK_API std::string to_string(const TuningProblem& problem);

/// A usual mask of the descriptor's form whose density is of the class: full, causal, a window, or documents of equal
/// lengths, held in the form. Forms that hold one density alone (none, causal) have that whatever is asked for.
/// `shape` gives batch, heads and lengths.
FLASHMASK_API TuningProblem representative_problem(TuningProblem shape, DensityClass density);

}  // namespace flashmask
