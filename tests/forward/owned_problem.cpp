#include "tests/forward/owned_problem.h"

#include <random>

namespace flashmask::reference {

std::vector<std::uint16_t> bits_of(const std::vector<float>& values, DataType dtype) {
  std::vector<std::uint16_t> bits;
  for (float value : values) bits.push_back(from_float(value, dtype));
  return bits;
}

OwnedProblem random_problem(const ForwardProblem& problem) {
  OwnedProblem owned;
  owned.problem = problem;
  std::mt19937 random(problem.seqlen_q * 131 + problem.seqlen_k);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<std::uint16_t>& bits, int seqlen, int heads, int head_dim) {
    const std::size_t count = static_cast<std::size_t>(problem.batch) * seqlen * heads * head_dim;
    for (std::size_t i = 0; i < count; ++i) bits.push_back(from_float(normal(random), problem.dtype));
  };
  fill(owned.query, problem.seqlen_q, problem.num_heads_q, problem.head_dim_qk);
  fill(owned.key, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_qk);
  fill(owned.value, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_v);
  owned.intervals.assign(static_cast<std::size_t>(problem.batch) * problem.num_heads_mask * problem.seqlen_k *
                             vectors_per_column(problem.mask_form),
                         0);
  return owned;
}

OwnedProblem random_problem(MaskForm form, int seqlen_q, int seqlen_k, int head_dim, int heads) {
  ForwardProblem problem;
  problem.mask_form = form;
  problem.batch = 1;
  problem.seqlen_q = seqlen_q;
  problem.seqlen_k = seqlen_k;
  problem.num_heads_q = problem.num_heads_kv = heads;
  problem.head_dim_qk = problem.head_dim_v = head_dim;
  problem.softmax_scale = 0.25f;
  return random_problem(problem);
}

OwnedBackward random_backward(const ForwardProblem& problem, LseGradient lse_gradient) {
  OwnedBackward owned{random_problem(problem), {}, {}};
  std::mt19937 random(problem.seqlen_q * 7 + problem.seqlen_k);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> row(-3, problem.seqlen_q + 3);
  for (std::int32_t& value : owned.forward.intervals) value = row(random);
  const std::size_t rows = static_cast<std::size_t>(problem.batch) * problem.seqlen_q * problem.num_heads_q;
  for (std::size_t e = 0; e < rows * problem.head_dim_v; ++e)
    owned.output_gradient.push_back(from_float(normal(random), problem.dtype));
  if (lse_gradient == LseGradient::kRandom)
    for (std::size_t e = 0; e < rows; ++e) owned.lse_gradient.push_back(normal(random));
  return owned;
}

}  // namespace flashmask::reference
