#include "runtime/mask/builder_rules.h"

#include <fmt/format.h>

#include "flashmask/error.h"

namespace flashmask::masks {
namespace {

[[noreturn]] void refuse(const std::string& message, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, message, hint);
}

}  // namespace

void check_range(std::string_view name, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) refuse(fmt::format("{} = {}: {} to {} is needed", name, value, least, most));
}

void check_least(std::string_view name, std::int64_t value, std::int64_t least) {
  if (value < least) refuse(fmt::format("{} = {}: at least {} is needed", name, value, least));
}

void check_lengths(const SequenceLengths& lengths) {
  check_range("seqlen_q", lengths.q, 1, Mask::kMaxSeqlen);
  check_range("seqlen_k", lengths.k, 1, Mask::kMaxSeqlen);
}

void check_positions(const SequenceLengths& lengths) {
  check_lengths(lengths);
  if (lengths.q > lengths.k) {
    refuse(fmt::format("seqlen_q = {} with seqlen_k = {}: the queries of this mask are the last positions of the keys, "
                       "so that at most {} are allowed",
                       lengths.q, lengths.k, lengths.k),
           "for queries and keys of different sequences see varlen, window and causal_by_position");
  }
}

void check_sum(std::string_view name, const std::vector<int>& lengths, int least, std::string_view total_name,
               std::int64_t total) {
  std::int64_t sum = 0;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    if (lengths[n] < least) refuse(fmt::format("{}[{}] = {}: at least {} is needed", name, n, lengths[n], least));
    sum += lengths[n];
  }
  if (sum != total) {
    refuse(fmt::format("the {} {} sum up to {}: {} = {} is needed", lengths.size(), name, sum, total_name, total),
           sum < total ? "add one more for the rest, padding for instance" : "");
  }
}

void check_spans(std::string_view name, const std::vector<TokenSpan>& spans, int seqlen) {
  for (std::size_t n = 0; n < spans.size(); ++n) {
    const TokenSpan& span = spans[n];
    if (span.first < 0 || span.first >= span.end || span.end > seqlen) {
      refuse(fmt::format("{}[{}] = [{}, {}): a span that is not empty and lies in [0, {}) is needed", name, n,
                         span.first, span.end, seqlen));
    }
    if (n > 0 && span.first < spans[n - 1].end) {
      refuse(fmt::format("{}[{}] = [{}, {}) follows [{}, {}): ascending spans that do not overlap are needed", name, n,
                         span.first, span.end, spans[n - 1].first, spans[n - 1].end));
    }
  }
}

int checked_tokens(std::string_view name, std::int64_t tokens) {
  check_range(name, tokens, 1, Mask::kMaxSeqlen);
  return static_cast<int>(tokens);
}

void check_count(std::string_view name, std::size_t count, std::string_view total_name, std::int64_t total) {
  if (static_cast<std::int64_t>(count) == total) return;
  refuse(fmt::format("{} has {} elements: {} = {} are needed", name, count, total_name, total));
}

}  // namespace flashmask::masks
