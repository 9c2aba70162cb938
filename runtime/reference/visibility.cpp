#include "runtime/reference/visibility.h"

#include "flashmask/reference.h"

namespace flashmask::reference {
namespace {

/// Whether row i lies in [start, end) clamped to [0, seqlen_q]. Rows lie in that range anyway, so that the clamp is in
/// the comparison: a negative start masks from row 0 on, an end beyond seqlen_q to the last row, start >= end nothing.
bool masked(int i, std::int32_t start, std::int32_t end) {
  return i >= start && i < end;
}

}  // namespace

bool is_visible(const MaskShape& shape, const std::int32_t* vectors, int i, int j) {
  const std::int64_t diagonal = i + diagonal_offset(shape.causal_alignment, shape.seqlen_q, shape.seqlen_k);
  const std::int32_t* v = vectors;
  switch (shape.form) {
    case MaskForm::kNone:
      return true;
    case MaskForm::kCausal:
      return j <= diagonal;
    case MaskForm::kWindow:
      return (shape.window_left < 0 || j >= diagonal - shape.window_left) &&
             (shape.window_right < 0 || j <= diagonal + shape.window_right);
    case MaskForm::kC1:
      return j <= diagonal && !masked(i, v[0], shape.seqlen_q);
    case MaskForm::kC2:
      return j <= diagonal && !masked(i, v[0], v[1]);
    case MaskForm::kF2:
      return !masked(i, v[0], shape.seqlen_q) && !masked(i, 0, v[1]);
    case MaskForm::kF4:
      return !masked(i, v[0], v[1]) && !masked(i, v[2], v[3]);
  }
  return true;  // not reached: every form returns above
}

bool is_visible(const ForwardProblem& problem, int batch, int head_q, int i, int j) {
  const MaskShape shape = {problem.mask_form, problem.causal_alignment, problem.batch,       problem.num_heads_mask,
                           problem.seqlen_q,  problem.seqlen_k,         problem.window_left, problem.window_right};
  const std::int32_t* column = problem.startend_row_indices.data();
  if (const int vectors = vectors_per_column(problem.mask_form); vectors > 0) {
    const std::int64_t head_mask = head_q / (problem.num_heads_q / problem.num_heads_mask);
    column += ((std::int64_t{batch} * problem.num_heads_mask + head_mask) * problem.seqlen_k + j) * vectors;
  }
  return is_visible(shape, column, i, j);
}

}  // namespace flashmask::reference
