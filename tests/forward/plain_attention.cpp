#include "tests/forward/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace flashmask::reference {
namespace {

std::vector<double> doubles(std::span<const std::uint16_t> bits, DataType dtype) {
  std::vector<double> values;
  for (std::uint16_t element : bits) values.push_back(to_float(element, dtype));
  return values;
}

}  // namespace

double sum_of_products(const double* a, const double* b, int count) {
  double sum = 0;
  for (int d = 0; d < count; ++d) sum += a[d] * b[d];
  return sum;
}

PlainAttention::PlainAttention(const BackwardProblem& problem)
    : query(doubles(problem.forward.query, problem.forward.dtype)),
      key(doubles(problem.forward.key, problem.forward.dtype)),
      value(doubles(problem.forward.value, problem.forward.dtype)),
      p_(problem.forward),
      output_gradient_(doubles(problem.output_gradient, problem.forward.dtype)),
      lse_gradient_(problem.lse_gradient.begin(), problem.lse_gradient.end()) {}

PlainAttention::Row PlainAttention::row(int batch, int head, int i) const {
  Row row{false, 0, std::vector<double>(p_.seqlen_k), std::vector<double>(p_.head_dim_v)};
  std::vector<double> scores(p_.seqlen_k, -std::numeric_limits<double>::infinity());
  for (int j = 0; j < p_.seqlen_k; ++j) {
    if (!is_visible(p_, batch, head, i, j)) continue;
    row.sees = true;
    scores[j] = p_.softmax_scale * sum_of_products(&query[query_row(batch, head, i) * p_.head_dim_qk],
                                                   &key[key_row(batch, head, j) * p_.head_dim_qk], p_.head_dim_qk);
  }
  if (!row.sees) return row;
  const double max = std::ranges::max(scores);
  double sum = 0;
  for (double score : scores) sum += std::exp(score - max);
  row.lse = max + std::log(sum);
  for (int j = 0; j < p_.seqlen_k; ++j) {
    row.probability[j] = std::exp(scores[j] - row.lse);
    for (int d = 0; d < p_.head_dim_v; ++d)
      row.output[d] += row.probability[j] * value[key_row(batch, head, j) * p_.head_dim_v + d];
  }
  return row;
}

double PlainAttention::loss(int batch, int head, int i) const {
  const Row row = this->row(batch, head, i);
  if (!row.sees) return 0;
  return sum_of_products(output_gradient(batch, head, i), row.output.data(), p_.head_dim_v) +
         lse_gradient(batch, head, i) * row.lse;
}

const double* PlainAttention::output_gradient(int batch, int head, int i) const {
  return &output_gradient_[query_row(batch, head, i) * p_.head_dim_v];
}

double PlainAttention::lse_gradient(int batch, int head, int i) const {
  if (lse_gradient_.empty()) return 0;
  return lse_gradient_[(static_cast<std::size_t>(batch) * p_.num_heads_q + head) * p_.seqlen_q + i];
}

std::size_t PlainAttention::query_row(int batch, int head, int i) const {
  return (static_cast<std::size_t>(batch) * p_.seqlen_q + i) * p_.num_heads_q + head;
}

std::size_t PlainAttention::key_row(int batch, int head, int j) const {
  return (static_cast<std::size_t>(batch) * p_.seqlen_k + j) * p_.num_heads_kv + head / heads_per_key_head();
}

}  // namespace flashmask::reference
