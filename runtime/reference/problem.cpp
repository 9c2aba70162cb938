#include "runtime/reference/problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::reference {

namespace {

std::size_t count(auto... extents) {
  return (static_cast<std::size_t>(extents) * ...);
}

/// The rules that a problem breaks, in words.
class BrokenRules {
 public:
  void positive(const char* name, int value) {
    if (value <= 0) rules_.push_back(fmt::format("{} = {}: at least 1 is needed", name, value));
  }
  void divides(const char* name, int heads, int num_heads_q) {
    if (num_heads_q % heads == 0) return;
    rules_.push_back(fmt::format("{} = {}: a divisor of num_heads_q = {} is needed", name, heads, num_heads_q));
  }
  void usable_scale(float scale) {
    if (scale > 0 && std::isfinite(scale)) return;
    rules_.push_back(fmt::format("softmax_scale = {}: a finite number above 0 is needed", scale));
  }
  void holds(const char* name, std::size_t length, std::size_t expected) {
    if (length == expected) return;
    rules_.push_back(fmt::format("{} has {} elements: {} are needed", name, length, expected));
  }
  bool empty() const { return rules_.empty(); }
  void throw_if_any() const {
    if (rules_.empty()) return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a reference problem is not well formed: {}", fmt::join(rules_, "; ")));
  }

 private:
  std::vector<std::string> rules_;
};

/// False where extents are broken, so that lengths mean nothing.
bool check_extents(const ForwardProblem& problem, BrokenRules& rules) {
  rules.positive("batch", problem.batch);
  rules.positive("seqlen_q", problem.seqlen_q);
  rules.positive("seqlen_k", problem.seqlen_k);
  rules.positive("num_heads_q", problem.num_heads_q);
  rules.positive("num_heads_kv", problem.num_heads_kv);
  rules.positive("num_heads_mask", problem.num_heads_mask);
  rules.positive("head_dim_qk", problem.head_dim_qk);
  rules.positive("head_dim_v", problem.head_dim_v);
  rules.usable_scale(problem.softmax_scale);
  return rules.empty();
}

void check_heads_and_lengths(const ForwardProblem& problem, BrokenRules& rules) {
  rules.divides("num_heads_kv", problem.num_heads_kv, problem.num_heads_q);
  rules.divides("num_heads_mask", problem.num_heads_mask, problem.num_heads_q);
  rules.holds("query", problem.query.size(),
              count(problem.batch, problem.seqlen_q, problem.num_heads_q, problem.head_dim_qk));
  rules.holds("key", problem.key.size(),
              count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_qk));
  rules.holds("value", problem.value.size(),
              count(problem.batch, problem.seqlen_k, problem.num_heads_kv, problem.head_dim_v));
  if (const int vectors = vectors_per_column(problem.mask_form); vectors > 0) {
    rules.holds("startend_row_indices", problem.startend_row_indices.size(),
                count(problem.batch, problem.num_heads_mask, problem.seqlen_k, vectors));
  }
}

}  // namespace

void check(const ForwardProblem& problem) {
  BrokenRules rules;
  if (check_extents(problem, rules)) check_heads_and_lengths(problem, rules);
  rules.throw_if_any();
}

void check(const BackwardProblem& problem) {
  const ForwardProblem& forward = problem.forward;
  BrokenRules rules;
  if (check_extents(forward, rules)) {
    check_heads_and_lengths(forward, rules);
    rules.holds("output_gradient", problem.output_gradient.size(),
                count(forward.batch, forward.seqlen_q, forward.num_heads_q, forward.head_dim_v));
    if (!problem.lse_gradient.empty()) {
      rules.holds("lse_gradient", problem.lse_gradient.size(),
                  count(forward.batch, forward.num_heads_q, forward.seqlen_q));
    }
  }
  rules.throw_if_any();
}

}  // namespace flashmask::reference
