#pragma once

#include <functional>
#include <vector>

#include "flashmask/mask_builders.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {

/// Lengths for a mask of `keys` keys whose queries are its last positions: training, chunked prefill, decoding.
inline std::vector<masks::SequenceLengths> positions_of(int keys) {
  return {keys, {keys - 1, keys}, {(keys + 1) / 2, keys}, {1, keys}};
}

/// Whether the row at position p sees key j iff rule(p, j).
inline testing::AssertionResult sees_at(const Mask& mask, const std::function<bool(int p, int j)>& rule) {
  const int first = mask.shape().seqlen_k - mask.shape().seqlen_q;
  return sees_by(mask, [&](int i, int j) { return rule(i + first, j); });
}

/// {2, 3} -> {0, 0, 1, 1, 1}
inline std::vector<int> numbered(const std::vector<int>& lengths) {
  std::vector<int> numbers;
  for (std::size_t n = 0; n < lengths.size(); ++n) numbers.insert(numbers.end(), lengths[n], static_cast<int>(n));
  return numbers;
}

}  // namespace flashmask::mask_tests
