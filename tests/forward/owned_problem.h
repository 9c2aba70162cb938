#pragma once

#include <cstdint>
#include <vector>

#include "flashmask/reference.h"

namespace flashmask::reference {

inline constexpr DataType kTypes[] = {DataType::kFloat16, DataType::kBfloat16};

/// A problem with its arrays.
struct OwnedProblem {
  ForwardProblem problem;
  std::vector<std::uint16_t> query, key, value;
  std::vector<std::int32_t> intervals;

  /// Its spans are set anew by each call.
  const ForwardProblem& view() {
    problem.query = query;
    problem.key = key;
    problem.value = value;
    problem.startend_row_indices = intervals;
    return problem;
  }
};

std::vector<std::uint16_t> bits_of(const std::vector<float>& values, DataType dtype);

/// Q, K and V from N(0, 1) for the extents and the dtype of `problem`, whose spans are not read; intervals that are all
/// 0.
OwnedProblem random_problem(const ForwardProblem& problem);
/// The same for one batch entry, as many key heads as query heads, equal head dims, in bf16.
OwnedProblem random_problem(MaskForm form, int seqlen_q, int seqlen_k, int head_dim = 16, int heads = 1);

/// A backward problem with its arrays.
struct OwnedBackward {
  OwnedProblem forward;
  std::vector<std::uint16_t> output_gradient;
  std::vector<float> lse_gradient;

  /// Its spans are set anew by each call.
  BackwardProblem view() { return {forward.view(), output_gradient, lse_gradient}; }
};

enum class LseGradient { kNone, kRandom };

/// As random_problem, with dO and dLSE from N(0, 1) and intervals drawn around [0, seqlen_q]: swapped, empty and
/// negative ones among them.
OwnedBackward random_backward(const ForwardProblem& problem, LseGradient lse_gradient = LseGradient::kRandom);

}  // namespace flashmask::reference
