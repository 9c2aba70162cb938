#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <random>

#include "flashmask/error.h"
#include "runtime/mask/builder_rules.h"
#include "runtime/mask/column_values.h"
#include "runtime/reference/visibility.h"

namespace flashmask::masks {

std::vector<int> lengths_from_cumulative(std::span<const int> cu_seqlens) {
  if (cu_seqlens.empty() || cu_seqlens[0] != 0) {
    throw Error(ErrorCode::kInvalidArgument, cu_seqlens.empty()
                                                 ? std::string("cu_seqlens has 0 elements: it starts with 0")
                                                 : fmt::format("cu_seqlens[0] = {}: 0 is needed", cu_seqlens[0]));
  }
  std::vector<int> lengths;
  for (std::size_t n = 1; n < cu_seqlens.size(); ++n) {
    if (cu_seqlens[n] < cu_seqlens[n - 1]) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("cu_seqlens[{}] = {} follows {}: sums do not descend", n,
                                                           cu_seqlens[n], cu_seqlens[n - 1]));
    }
    lengths.push_back(cu_seqlens[n] - cu_seqlens[n - 1]);
  }
  return lengths;
}

std::vector<int> lengths_from_ids(std::span<const int> document_ids) {
  check_least("the number of document_ids", std::ssize(document_ids), 1);
  std::vector<int> lengths;
  for (std::size_t n = 0; n < document_ids.size(); ++n) {
    if (n == 0 || document_ids[n] != document_ids[n - 1]) lengths.push_back(0);
    ++lengths.back();
  }
  return lengths;
}

Mask full(SequenceLengths lengths) {
  return Mask({MaskForm::kNone, CausalAlignment::kBottomRight, 1, 1, lengths.q, lengths.k, -1, -1});
}

Mask causal(SequenceLengths lengths, CausalAlignment alignment) {
  return Mask({MaskForm::kCausal, alignment, 1, 1, lengths.q, lengths.k, -1, -1});
}

Mask window(SequenceLengths lengths, int left, int right, CausalAlignment alignment) {
  return Mask({MaskForm::kWindow, alignment, 1, 1, lengths.q, lengths.k, left, right});
}

Mask window_as_intervals(SequenceLengths lengths, int left, int right, CausalAlignment alignment) {
  (void)window(lengths, left, right, alignment);  // the same rules
  const std::int64_t offset = reference::diagonal_offset(alignment, lengths.q, lengths.k);
  return from_positions<2>(lengths, MaskForm::kF2, offset, [&](std::int64_t j) {
    return F2Column{left < 0 ? offset + lengths.q : j + left + 1, right < 0 ? offset : j - right};
  });
}

Mask sliding_window(SequenceLengths lengths, int window) {
  check_lengths(lengths);
  check_least("window", window, 1);
  return make_c1(lengths, [&](std::int64_t j) { return C1Column{j + window}; });
}

Mask causal_documents(SequenceLengths lengths, const std::vector<int>& document_lengths) {
  check_positions(lengths);
  check_sum("document_lengths", document_lengths, 1, "seqlen_k", lengths.k);
  const std::vector<TokenSpan> spans = spans_of(document_lengths);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_c1(lengths, [&](int j) { return C1Column{spans[span[j]].end}; });
}

Mask documents(SequenceLengths lengths, const std::vector<int>& document_lengths) {
  check_positions(lengths);
  check_sum("document_lengths", document_lengths, 1, "seqlen_k", lengths.k);
  const std::vector<TokenSpan> spans = spans_of(document_lengths);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_f2(lengths, [&](int j) { return F2Column{spans[span[j]].end, spans[span[j]].first}; });
}

Mask share_question(SequenceLengths lengths, const std::vector<SharedQuestion>& samples) {
  check_positions(lengths);
  std::vector<int> parts;
  for (const SharedQuestion& sample : samples) {
    parts.push_back(sample.question_length);
    parts.insert(parts.end(), sample.answer_lengths.begin(), sample.answer_lengths.end());
  }
  check_sum("question and answer lengths", parts, 1, "seqlen_k", lengths.k);
  std::vector<std::int64_t> last_row;
  last_row.reserve(static_cast<std::size_t>(lengths.k));
  for (const SharedQuestion& sample : samples) {
    const std::size_t first = last_row.size();
    std::size_t end = first + static_cast<std::size_t>(sample.question_length);
    last_row.resize(end);
    for (const int answer : sample.answer_lengths) {
      end += static_cast<std::size_t>(answer);
      last_row.resize(end, static_cast<std::int64_t>(end));
    }
    std::fill_n(last_row.begin() + static_cast<std::ptrdiff_t>(first), sample.question_length,
                static_cast<std::int64_t>(end));
  }
  return make_c1(lengths, [&](int j) { return C1Column{last_row[j]}; });
}

Mask global_sliding_window(SequenceLengths lengths, int window, int globals) {
  check_positions(lengths);
  check_least("window", window, 0);
  check_range("globals", globals, 0, lengths.k);
  return make_f4(lengths, [&](std::int64_t j) {
    if (j < globals) return F4Column{lengths.k, lengths.k, 0, 0};
    return F4Column{j + window + 1, lengths.k, globals, j - window};
  });
}

Mask causal_blockwise(SequenceLengths lengths, const std::vector<int>& block_lengths) {
  check_positions(lengths);
  check_sum("block_lengths", block_lengths, 1, "seqlen_k", lengths.k);
  const std::vector<TokenSpan> spans = spans_of(block_lengths);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_c2(lengths, [&](int j) { return C2Column{spans[span[j]].end, spans.back().first}; });
}

Mask prefix_lm_documents(SequenceLengths lengths, const std::vector<PrefixedDocument>& documents) {
  check_positions(lengths);
  std::vector<int> document_lengths;
  for (std::size_t n = 0; n < documents.size(); ++n) {
    document_lengths.push_back(documents[n].length);
    check_range(fmt::format("documents[{}].prefix_length", n), documents[n].prefix_length, 0,
                std::max(0, documents[n].length));
  }
  check_sum("document lengths", document_lengths, 1, "seqlen_k", lengths.k);
  const std::vector<TokenSpan> spans = spans_of(document_lengths);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_f2(lengths, [&](int j) {
    const TokenSpan document = spans[span[j]];
    const bool prefix = j - document.first < documents[span[j]].prefix_length;
    return F2Column{document.end, prefix ? document.first : j};
  });
}

Mask prefix_lm_causal(SequenceLengths lengths, int prefix_length) {
  check_positions(lengths);
  check_range("prefix_length", prefix_length, 0, lengths.k);
  return make_f2(lengths, [&](int j) { return F2Column{lengths.k, j < prefix_length ? 0 : j}; });
}

Mask qk_sparse(SequenceLengths lengths, const std::vector<TokenSpan>& dropped) {
  check_positions(lengths);
  check_spans("dropped", dropped, lengths.k);
  const std::vector<int> span = span_numbers(dropped, lengths.k);
  return make_c2(
      lengths, [&](int j) { return span[j] < 0 ? C2Column{lengths.k, lengths.k} : C2Column{j, dropped[span[j]].end}; });
}

Mask causal_by_position(const std::vector<int>& query_positions, const std::vector<int>& key_positions) {
  const SequenceLengths lengths(checked_tokens("the number of query_positions", std::ssize(query_positions)),
                                checked_tokens("the number of key_positions", std::ssize(key_positions)));
  for (std::size_t n = 1; n < query_positions.size(); ++n) {
    if (query_positions[n] < query_positions[n - 1]) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("query_positions[{}] = {} follows {}: positions that do not descend are needed", n,
                              query_positions[n], query_positions[n - 1]),
                  "sort the queries by position; the keys may have any order");
    }
  }
  return from_positions<2>(lengths, MaskForm::kF2, 0, [&](int j) {
    const auto first = std::lower_bound(query_positions.begin(), query_positions.end(), key_positions[j]);
    return F2Column{lengths.q, first - query_positions.begin()};
  });
}

Mask evicted_keys(SequenceLengths lengths, const std::vector<std::vector<int>>& eviction_positions) {
  check_positions(lengths);
  check_least("the number of lists of eviction_positions", std::ssize(eviction_positions), 1);
  std::vector<Mask> heads;
  for (std::size_t head = 0; head < eviction_positions.size(); ++head) {
    const std::vector<int>& positions = eviction_positions[head];
    check_count(fmt::format("eviction_positions[{}]", head), positions.size(), "seqlen_k", lengths.k);
    heads.push_back(make_c1(lengths, [&](int j) { return C1Column{positions[j]}; }));
  }
  return stack_heads(heads);
}

Mask random_eviction(SequenceLengths lengths, int budget, int num_heads, std::uint64_t seed) {
  check_positions(lengths);
  check_least("budget", budget, 1);
  check_least("num_heads", num_heads, 1);
  std::mt19937_64 random(seed);
  std::vector<std::vector<int>> evictions(static_cast<std::size_t>(num_heads));
  for (std::vector<int>& eviction : evictions) {
    eviction.assign(static_cast<std::size_t>(lengths.k), lengths.k);
    std::vector<int> cache;
    for (int p = 0; p < lengths.k; ++p) {
      if (p >= budget) {
        // Not std::uniform_int_distribution: its numbers differ between standard libraries.
        int& dropped = cache[(random() >> 32) * cache.size() >> 32];
        eviction[dropped] = p;
        dropped = cache.back();
        cache.pop_back();
      }
      cache.push_back(p);
    }
  }
  return evicted_keys(lengths, evictions);
}

}  // namespace flashmask::masks
