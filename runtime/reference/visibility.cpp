#include <algorithm>

#include "flashmask/reference.h"

namespace flashmask::reference {
namespace {

/// Whether row i lies in [start, end) clamped to [0, seqlen_q]. Rows lie in that range anyway, so that the clamp is in
/// the comparison: a negative start masks from row 0 on, an end beyond seqlen_q to the last row, start >= end nothing.
bool masked(int i, std::int32_t start, std::int32_t end) {
  return i >= start && i < end;
}

/// The vectors of column j for this query head: [batch, num_heads_mask, seqlen_k, vectors].
const std::int32_t* column(const ForwardProblem& problem, int batch, int head_q, int j, int vectors) {
  const std::int64_t head_mask = head_q / (problem.num_heads_q / problem.num_heads_mask);
  const std::int64_t row =
      (static_cast<std::int64_t>(batch) * problem.num_heads_mask + head_mask) * problem.seqlen_k + j;
  return problem.startend_row_indices.data() + row * vectors;
}

}  // namespace

bool is_visible(const ForwardProblem& problem, int batch, int head_q, int i, int j) {
  // The key on the diagonal of row i; 64 bits, for lengths and windows may be any int.
  const std::int64_t offset =
      problem.causal_alignment == CausalAlignment::kBottomRight ? std::int64_t{problem.seqlen_k} - problem.seqlen_q : 0;
  const std::int64_t diagonal = i + offset;
  const auto vectors_of = [&](int vectors) { return column(problem, batch, head_q, j, vectors); };
  switch (problem.mask_form) {
    case MaskForm::kNone:
      return true;
    case MaskForm::kCausal:
      return j <= diagonal;
    case MaskForm::kWindow:
      return (problem.window_left < 0 || j >= diagonal - problem.window_left) &&
             (problem.window_right < 0 || j <= diagonal + problem.window_right);
    case MaskForm::kC1: {
      const std::int32_t* v = vectors_of(1);
      return j <= diagonal && !masked(i, v[0], problem.seqlen_q);
    }
    case MaskForm::kC2: {
      const std::int32_t* v = vectors_of(2);
      return j <= diagonal && !masked(i, v[0], v[1]);
    }
    case MaskForm::kF2: {
      const std::int32_t* v = vectors_of(2);
      return !masked(i, v[0], problem.seqlen_q) && !masked(i, 0, v[1]);
    }
    case MaskForm::kF4: {
      const std::int32_t* v = vectors_of(4);
      return !masked(i, v[0], v[1]) && !masked(i, v[2], v[3]);
    }
  }
  return true;  // not reached: every form returns above
}

}  // namespace flashmask::reference
