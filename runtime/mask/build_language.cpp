#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "flashmask/error.h"
#include "runtime/mask/builder_rules.h"
#include "runtime/mask/column_values.h"
#include "runtime/reference/visibility.h"

namespace flashmask::masks {
namespace {

/// Properties of a key alone: `shown(j)`; below or on the diagonal if causal.
template <typename Shown>
Mask keys_shown(const SequenceLengths& lengths, bool causal, const Shown& shown) {
  if (causal) return make_c1(lengths, [&](int j) { return C1Column{shown(j) ? lengths.k : 0}; });
  return make_f2(lengths, [&](int j) { return F2Column{shown(j) ? lengths.k : 0, 0}; });
}

/// For each position whether it is in the list.
std::vector<bool> marked(std::string_view name, const std::vector<int>& positions, int seqlen) {
  std::vector<bool> marks(static_cast<std::size_t>(seqlen));
  for (std::size_t n = 0; n < positions.size(); ++n) {
    check_range(fmt::format("{}[{}]", name, n), positions[n], 0, std::int64_t{seqlen} - 1);
    marks[static_cast<std::size_t>(positions[n])] = true;
  }
  return marks;
}

}  // namespace

Mask padded(SequenceLengths lengths, TokenSpan valid, bool causal) {
  check_positions(lengths);
  check_spans("valid", {valid}, lengths.k);
  return keys_shown(lengths, causal, [&](int j) { return j >= valid.first && j < valid.end; });
}

Mask gappy_keys(SequenceLengths lengths, const std::vector<std::uint8_t>& valid, bool causal) {
  check_positions(lengths);
  check_count("valid", valid.size(), "seqlen_k", lengths.k);
  return keys_shown(lengths, causal, [&](int j) { return valid[j] != 0; });
}

Mask varlen(SequenceLengths lengths, const std::vector<int>& query_lengths, const std::vector<int>& key_lengths,
            bool causal, CausalAlignment alignment) {
  check_lengths(lengths);
  check_count("query_lengths", query_lengths.size(), "the number of key_lengths", std::ssize(key_lengths));
  check_sum("query_lengths", query_lengths, 0, "seqlen_q", lengths.q);
  check_sum("key_lengths", key_lengths, 0, "seqlen_k", lengths.k);
  if (!causal && alignment != CausalAlignment::kBottomRight) {
    throw Error(ErrorCode::kInvalidArgument,
                "causal_alignment = top-left with causal = 0: sequences without a diagonal need bottom-right");
  }
  const std::vector<TokenSpan> queries = spans_of(query_lengths);
  const std::vector<TokenSpan> keys = spans_of(key_lengths);
  const std::vector<int> sequence = span_numbers(keys, lengths.k);
  return from_positions<2>(lengths, MaskForm::kF2, 0, [&](int j) {
    const int n = sequence[j];
    std::int64_t first = queries[n].first;
    if (causal) {
      const std::int64_t inside = j - keys[n].first;
      const std::int64_t offset = reference::diagonal_offset(alignment, query_lengths[n], key_lengths[n]);
      first += std::max<std::int64_t>(0, inside - offset);
    }
    return F2Column{queries[n].end, first};
  });
}

Mask chunked_local(SequenceLengths lengths, int chunk) {
  check_positions(lengths);
  check_least("chunk", chunk, 1);
  return make_c1(lengths, [&](std::int64_t j) { return C1Column{(j / chunk + 1) * chunk}; });
}

Mask sinks_and_window(SequenceLengths lengths, int sinks, int window) {
  return sep_llm(lengths, {}, sinks, window);
}

Mask tri_shape(SequenceLengths lengths, int sinks, int window, int last_rows) {
  check_positions(lengths);
  check_least("sinks", sinks, 0);
  check_least("window", window, 1);
  check_range("last_rows", last_rows, 0, lengths.k);
  return make_c2(lengths,
                 [&](std::int64_t j) { return C2Column{j < sinks ? lengths.k : j + window, lengths.k - last_rows}; });
}

Mask gist(SequenceLengths lengths, const std::vector<TokenSpan>& gist_spans) {
  check_positions(lengths);
  check_spans("gist_spans", gist_spans, lengths.k);
  std::size_t next = 0;  // the first span that does not end at or before j
  return make_c1(lengths, [&](int j) {
    while (next < gist_spans.size() && gist_spans[next].end <= j) ++next;
    const bool forgotten = next < gist_spans.size() && j < gist_spans[next].first;
    return C1Column{forgotten ? gist_spans[next].end : lengths.k};
  });
}

Mask sep_llm(SequenceLengths lengths, const std::vector<int>& separators, int sinks, int window) {
  check_positions(lengths);
  check_least("sinks", sinks, 0);
  check_least("window", window, 1);
  const std::vector<bool> separator = marked("separators", separators, lengths.k);
  return make_c1(lengths, [&](std::int64_t j) {
    return C1Column{j < sinks || separator[static_cast<std::size_t>(j)] ? lengths.k : j + window};
  });
}

Mask shared_prefix_rollouts(SequenceLengths lengths, int prefix_length, const std::vector<int>& rollout_lengths) {
  check_positions(lengths);
  check_range("prefix_length", prefix_length, 0, lengths.k);
  check_sum("rollout_lengths", rollout_lengths, 1, "seqlen_k - prefix_length", lengths.k - prefix_length);
  const std::vector<TokenSpan> spans = spans_of(rollout_lengths, prefix_length);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_c1(lengths, [&](int j) { return C1Column{span[j] < 0 ? lengths.k : spans[span[j]].end}; });
}

Mask multi_item_scoring(SequenceLengths lengths, int prefix_length, const std::vector<int>& item_lengths) {
  check_positions(lengths);
  check_range("prefix_length", prefix_length, 0, lengths.k);
  const std::int64_t items = std::ssize(item_lengths);
  check_sum("item_lengths", item_lengths, 1, "seqlen_k - prefix_length - items - 1 delimiters",
            std::int64_t{lengths.k} - prefix_length - items - 1);
  // A delimiter and its item are a rollout; the last delimiter has no item.
  std::vector<int> rollouts;
  for (const int item : item_lengths) rollouts.push_back(item + 1);
  rollouts.push_back(1);
  return shared_prefix_rollouts(lengths, prefix_length, rollouts);
}

Mask mtp_draft(SequenceLengths lengths, int tokens, int depth) {
  check_positions(lengths);
  check_least("tokens", tokens, 1);
  check_least("depth", depth, 1);
  check_count("a sequence of tokens * (1 + depth)", static_cast<std::size_t>(tokens) * (std::size_t{1} + depth),
              "seqlen_k", lengths.k);
  return make_c2(lengths, [&](std::int64_t j) {
    if (j < tokens) return C2Column{tokens, tokens + j * depth};
    return C2Column{tokens + ((j - tokens) / depth + 1) * depth, lengths.k};
  });
}

}  // namespace flashmask::masks
