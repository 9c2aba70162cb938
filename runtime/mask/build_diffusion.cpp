#include <algorithm>
#include <cstddef>

#include "runtime/mask/builder_rules.h"
#include "runtime/mask/column_values.h"

namespace flashmask::masks {

Mask block_diffusion(SequenceLengths lengths, int tokens, int block_length) {
  check_positions(lengths);
  check_least("tokens", tokens, 1);
  check_least("block_length", block_length, 1);
  check_count("a sequence of 2 * tokens", std::size_t{2} * static_cast<std::size_t>(tokens), "seqlen_k", lengths.k);
  const std::int64_t n = tokens;
  return make_f4(lengths, [&](std::int64_t j) {
    const std::int64_t first = j % n / block_length * block_length;
    const std::int64_t end = std::min(first + block_length, n);
    if (j < n) return F4Column{end, 2 * n, 0, first};  // x_t: its own block of x_t alone
    return F4Column{n, n + first, 0, end};             // x_0: later blocks of x_t, its own and later ones of x_0
  });
}

Mask block_causal(SequenceLengths lengths, const std::vector<int>& block_lengths) {
  check_positions(lengths);
  check_sum("block_lengths", block_lengths, 1, "seqlen_k", lengths.k);
  const std::vector<TokenSpan> spans = spans_of(block_lengths);
  const std::vector<int> span = span_numbers(spans, lengths.k);
  return make_f2(lengths, [&](int j) { return F2Column{lengths.k, spans[span[j]].first}; });
}

}  // namespace flashmask::masks
