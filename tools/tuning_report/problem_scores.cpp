#include "tools/tuning_report/problem_scores.h"

#include <charconv>
#include <exception>

#include "flashmask/problem_hint.h"

namespace flashmask::tuning_report {
namespace {

/// Masks are built to be counted: of a length that somebody made up, that would take all memory.
constexpr int kLongest = 1 << 18;
constexpr int kMostHeads = 1 << 20;

bool take(std::string_view& left, std::string_view expected) {
  if (!left.starts_with(expected)) return false;
  left.remove_prefix(expected.size());
  return true;
}

bool take_number(std::string_view& left, int& value, int most) {
  const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), value);
  if (error != std::errc{} || value < 1 || value > most) return false;
  left.remove_prefix(static_cast<std::size_t>(end - left.data()));
  return true;
}

std::string_view take_word(std::string_view& left) {
  const std::string_view word = left.substr(0, left.find(' '));
  left.remove_prefix(word.size());
  return word;
}

}  // namespace

std::optional<TuningProblem> parse_tuning_problem(const KernelDescriptor& descriptor, std::string_view text) {
  TuningProblem problem;
  problem.descriptor = descriptor;
  std::string_view left = text;
  if (!take(left, "batch ") || !take_number(left, problem.batch, kMostHeads)) return std::nullopt;
  if (!take(left, ", ") || !take_number(left, problem.num_heads_q, kMostHeads)) return std::nullopt;
  if (!take(left, " heads")) return std::nullopt;
  problem.num_heads_kv = problem.num_heads_q;
  if (take(left, " of ") && !take_number(left, problem.num_heads_kv, kMostHeads)) return std::nullopt;
  if (!take(left, ", ") || !take_number(left, problem.seqlen_q, kLongest)) return std::nullopt;
  if (!take(left, "x") || !take_number(left, problem.seqlen_k, kLongest) || !take(left, ", ")) return std::nullopt;
  problem.mask_kind = take_word(left);
  while (take(left, " ")) {
    const std::string_view word = take_word(left);
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    problem.mask_arguments[std::string(word.substr(0, equals))] = word.substr(equals + 1);
  }
  if (to_string(problem) != text) return std::nullopt;
  return problem;
}

std::optional<double> visible_scores(const KernelDescriptor& descriptor, std::string_view text) {
  const auto problem = parse_tuning_problem(descriptor, text);
  if (!problem) return std::nullopt;
  try {
    const double scores_of_head = static_cast<double>(problem->seqlen_q) * problem->seqlen_k;
    return hint_of(*problem).density * problem->batch * problem->num_heads_q * scores_of_head;
  } catch (const std::exception&) {
    return std::nullopt;  // no mask of this library
  }
}

}  // namespace flashmask::tuning_report
