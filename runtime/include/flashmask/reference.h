#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"

namespace flashmask::reference {

/// A forward problem on the host, packed [batch, seqlen, heads, head_dim], elements as raw 16-bit patterns of `dtype`.
struct ForwardProblem {
  DataType dtype = DataType::kBfloat16;
  MaskForm mask_form = MaskForm::kNone;
  CausalAlignment causal_alignment = CausalAlignment::kBottomRight;
  int batch = 0, seqlen_q = 0, seqlen_k = 0, num_heads_q = 0, num_heads_kv = 0, num_heads_mask = 1;
  int head_dim_qk = 0, head_dim_v = 0;
  int window_left = -1, window_right = -1;
  float softmax_scale = 0;
  std::span<const std::uint16_t> query, key, value;
  std::span<const std::int32_t> startend_row_indices;  ///< [batch, num_heads_mask, seqlen_k, vectors]
};

/// Whether query row `i` of the batch entry and query head sees key `j`: the definition of the masks, in one place.
FLASHMASK_API bool is_visible(const ForwardProblem& problem, int batch, int head_q, int i, int j);

struct ForwardResult {
  std::vector<double> output;  ///< [batch, seqlen_q, num_heads_q, head_dim_v]; 0 for rows that see no key
  std::vector<double> lse;     ///< [batch, num_heads_q, seqlen_q], natural log; -inf for rows that see no key
};
/// Attention in fp64 on `threads` threads (0: all cores).
FLASHMASK_API ForwardResult attention(const ForwardProblem& problem, int threads = 0);
/// Attention as a careful user would write it in fp32: softmax in fp32, P and the output rounded to the dtype. Its
/// error against fp64 is the yardstick for a kernel.
FLASHMASK_API std::vector<float> naive_attention(const ForwardProblem& problem, int threads = 0);

/// How far a kernel's result is from the reference, and how far it may be.
struct Comparison {
  double max_output_error = 0;    ///< max |out - ref|
  double naive_output_error = 0;  ///< max |naive - ref|
  double output_bound = 0;        ///< 2 * naive + one ulp of max |ref| in the dtype
  double max_lse_error = 0;       ///< max |lse - ref| / max(1, |ref|) over rows that see a key
  double lse_bound = 1e-4;
  std::size_t nan_count = 0;        ///< NaNs in output or LSE
  std::size_t dead_rows = 0;        ///< rows that see no key
  std::size_t dead_rows_wrong = 0;  ///< … whose output is not exactly 0 or whose LSE is not exactly -inf
  bool passed = false;
};
/// `output` [batch, seqlen_q, num_heads_q, head_dim_v] as bit patterns of the dtype; `lse` may be empty.
FLASHMASK_API Comparison compare(const ForwardProblem& problem, std::span<const std::uint16_t> output,
                                 std::span<const float> lse, int threads = 0);

/// A backward problem on the host: the forward's, and the gradients that come in, packed.
struct BackwardProblem {
  ForwardProblem forward{};
  std::span<const std::uint16_t> output_gradient;  ///< dO [batch, seqlen_q, num_heads_q, head_dim_v]
  std::span<const float> lse_gradient;             ///< dLSE [batch, num_heads_q, seqlen_q]; may be empty: 0
};

/// Gradients of Q, K and V, packed like them. dQ is 0 in rows that see no key, dK and dV of keys that no row sees.
template <class Real>
struct Gradients {
  std::vector<Real> query;  ///< dQ [batch, seqlen_q, num_heads_q, head_dim_qk]
  std::vector<Real> key;    ///< dK [batch, seqlen_k, num_heads_kv, head_dim_qk]
  std::vector<Real> value;  ///< dV [batch, seqlen_k, num_heads_kv, head_dim_v]
};
/// The analytic gradients in fp64 on `threads` threads (0: all cores); the same whatever their number.
FLASHMASK_API Gradients<double> gradients(const BackwardProblem& problem, int threads = 0);
/// The gradients as a careful user would write them in fp32: softmax in fp32, O, P, dS and the results rounded to the
/// dtype. Its error against fp64 is the yardstick for a kernel.
FLASHMASK_API Gradients<float> naive_gradients(const BackwardProblem& problem, int threads = 0);

/// How far one gradient of a kernel is from the reference, and how far it may be.
struct GradientError {
  double max_error = 0;    ///< max |gradient - ref|
  double naive_error = 0;  ///< max |naive - ref|
  /// 2 * naive + two ulps of max |ref| in the dtype (what is summed is rounded, and so is the sum; small problems have
  /// few elements to find a naive error among), and for dQ and dK 2^-20 of the terms of dS that cancel, which fp32
  /// may leave of them: scale * sum(P o (|dP| + |D|)), times max |K| or max |Q|.
  double bound = 0;
  std::size_t nan_count = 0;
  std::size_t zero_rows = 0;  ///< rows that see no key (dQ), or keys that no row of their query heads sees (dK, dV)
  std::size_t zero_rows_wrong = 0;  ///< … that are not exactly 0
  bool passed = false;
};
struct GradientComparison {
  GradientError query, key, value;
  bool passed = false;  ///< all three
};
/// Each gradient as bit patterns of the dtype.
FLASHMASK_API GradientComparison compare(const BackwardProblem& problem, std::span<const std::uint16_t> query_gradient,
                                         std::span<const std::uint16_t> key_gradient,
                                         std::span<const std::uint16_t> value_gradient, int threads = 0);

FLASHMASK_API float to_float(std::uint16_t bits, DataType dtype);
/// Rounds to nearest even.
FLASHMASK_API std::uint16_t from_float(float value, DataType dtype);

}  // namespace flashmask::reference
