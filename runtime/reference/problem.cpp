#include "runtime/reference/problem.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::reference {

namespace {

std::vector<std::string> broken_rules(const ForwardProblem& problem) {
  std::vector<std::string> rules;
  const auto positive = [&](const char* name, int value) {
    if (value <= 0) rules.push_back(fmt::format("{} = {}: at least 1 is needed", name, value));
  };
  positive("batch", problem.batch);
  positive("seqlen_q", problem.seqlen_q);
  positive("seqlen_k", problem.seqlen_k);
  positive("num_heads_q", problem.num_heads_q);
  positive("num_heads_kv", problem.num_heads_kv);
  positive("num_heads_mask", problem.num_heads_mask);
  positive("head_dim_qk", problem.head_dim_qk);
  positive("head_dim_v", problem.head_dim_v);
  if (!(problem.softmax_scale > 0) || !std::isfinite(problem.softmax_scale)) {
    rules.push_back(fmt::format("softmax_scale = {}: a finite number above 0 is needed", problem.softmax_scale));
  }
  if (rules.empty()) {  // the ratios and lengths mean something
    const auto divides = [&](const char* name, int heads) {
      if (problem.num_heads_q % heads != 0) {
        rules.push_back(
            fmt::format("{} = {}: a divisor of num_heads_q = {} is needed", name, heads, problem.num_heads_q));
      }
    };
    divides("num_heads_kv", problem.num_heads_kv);
    divides("num_heads_mask", problem.num_heads_mask);
    const auto holds = [&](const char* name, std::size_t length, std::size_t expected) {
      if (length != expected) rules.push_back(fmt::format("{} has {} elements: {} are needed", name, length, expected));
    };
    const auto count = [](auto... extents) { return (static_cast<std::size_t>(extents) * ...); };
    holds("query", problem.query.size(),
          count(problem.batch, problem.seqlen_q, problem.num_heads_q, problem.head_dim_qk));
    holds("key", problem.key.size(), count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_qk));
    holds("value", problem.value.size(),
          count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_v));
    if (const int vectors = vectors_per_column(problem.mask_form); vectors > 0) {
      holds("startend_row_indices", problem.startend_row_indices.size(),
            count(problem.batch, problem.num_heads_mask, problem.seqlen_k, vectors));
    }
  }
  return rules;
}

void refuse(const std::vector<std::string>& rules) {
  if (rules.empty()) return;
  std::string message = "a reference problem is not well formed";
  for (const std::string& rule : rules) message += (&rule == &rules.front() ? ": " : "; ") + rule;
  throw Error(ErrorCode::kInvalidArgument, message);
}

}  // namespace

void check(const ForwardProblem& problem) {
  refuse(broken_rules(problem));
}

void check(const BackwardProblem& problem) {
  std::vector<std::string> rules = broken_rules(problem.forward);
  if (rules.empty()) {
    const ForwardProblem& p = problem.forward;
    const std::size_t rows = static_cast<std::size_t>(p.batch) * p.seqlen_q * p.num_heads_q;
    const std::size_t elements = rows * p.head_dim_v;
    if (problem.output_gradient.size() != elements)
      rules.push_back(
          fmt::format("output_gradient has {} elements: {} are needed", problem.output_gradient.size(), elements));
    if (!problem.lse_gradient.empty() && problem.lse_gradient.size() != rows)
      rules.push_back(
          fmt::format("lse_gradient has {} elements: {}, or none, are needed", problem.lse_gradient.size(), rows));
  }
  refuse(rules);
}

}  // namespace flashmask::reference
