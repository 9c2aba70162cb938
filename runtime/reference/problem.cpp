#include "runtime/reference/problem.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::reference {
namespace {

using Rules = std::vector<std::string>;

/// Whether all extents are well formed, so that ratios and lengths mean something.
bool check_extents(const ForwardProblem& problem, Rules& rules) {
  const std::size_t rules_before = rules.size();
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
  return rules.size() == rules_before;
}

void check_scale(const ForwardProblem& problem, Rules& rules) {
  if (problem.softmax_scale > 0 && std::isfinite(problem.softmax_scale)) return;
  rules.push_back(fmt::format("softmax_scale = {}: a finite number above 0 is needed", problem.softmax_scale));
}

void check_length(const char* name, std::size_t length, std::size_t expected, Rules& rules) {
  if (length != expected) rules.push_back(fmt::format("{} has {} elements: {} are needed", name, length, expected));
}

std::size_t count(auto... extents) {
  return (static_cast<std::size_t>(extents) * ...);
}

/// Of a problem whose extents are well formed: head ratios and span lengths.
void check_ratios_and_lengths(const ForwardProblem& problem, Rules& rules) {
  const auto divides = [&](const char* name, int heads) {
    if (problem.num_heads_q % heads != 0) {
      rules.push_back(
          fmt::format("{} = {}: a divisor of num_heads_q = {} is needed", name, heads, problem.num_heads_q));
    }
  };
  divides("num_heads_kv", problem.num_heads_kv);
  divides("num_heads_mask", problem.num_heads_mask);
  check_length("query", problem.query.size(),
               count(problem.batch, problem.seqlen_q, problem.num_heads_q, problem.head_dim_qk), rules);
  check_length("key", problem.key.size(),
               count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_qk), rules);
  check_length("value", problem.value.size(),
               count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_v), rules);
  if (const int vectors = vectors_per_column(problem.mask_form); vectors > 0) {
    check_length("startend_row_indices", problem.startend_row_indices.size(),
                 count(problem.batch, problem.num_heads_mask, problem.seqlen_k, vectors), rules);
  }
}

/// Of a problem whose extents are well formed.
void check_lengths_of_gradients(const BackwardProblem& problem, Rules& rules) {
  const ForwardProblem& p = problem.forward;
  const std::size_t rows = count(p.batch, p.seqlen_q, p.num_heads_q);
  check_length("output_gradient", problem.output_gradient.size(), rows * p.head_dim_v, rules);
  if (!problem.lse_gradient.empty() && problem.lse_gradient.size() != rows) {
    rules.push_back(
        fmt::format("lse_gradient has {} elements: {}, or none, are needed", problem.lse_gradient.size(), rows));
  }
}

void refuse(const Rules& rules) {
  if (rules.empty()) return;
  std::string message = "a reference problem is not well formed";
  for (const std::string& rule : rules) message += (&rule == &rules.front() ? ": " : "; ") + rule;
  throw Error(ErrorCode::kInvalidArgument, message);
}

}  // namespace

void check(const ForwardProblem& problem) {
  Rules rules;
  check_scale(problem, rules);
  if (check_extents(problem, rules)) check_ratios_and_lengths(problem, rules);
  refuse(rules);
}

void check(const BackwardProblem& problem) {
  Rules rules;
  check_scale(problem.forward, rules);
  if (check_extents(problem.forward, rules)) {
    check_ratios_and_lengths(problem.forward, rules);
    check_lengths_of_gradients(problem, rules);
  }
  refuse(rules);
}

}  // namespace flashmask::reference
