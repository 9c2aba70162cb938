#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "flashmask/mask_builders.h"

namespace flashmask::masks {

/// A mask of one sequence from what a function says of each key: `values_of(j)` returns the column's vectors as an
/// array of 64-bit positions, in the order of the form. `offset` is the position of row 0. Positions become rows, cut
/// off at the ends of the rows, so that builders may write "j + window" without a thought for overflow.
template <std::size_t kVectors, typename ValuesOf>
Mask from_positions(const SequenceLengths& lengths, MaskForm form, std::int64_t offset, const ValuesOf& values_of) {
  std::vector<std::int32_t> values;
  values.reserve(static_cast<std::size_t>(lengths.k) * kVectors);
  for (int j = 0; j < lengths.k; ++j) {
    const std::array<std::int64_t, kVectors> column = values_of(j);
    for (const std::int64_t position : column) {
      values.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(position - offset, 0, lengths.q)));
    }
  }
  return Mask({form, CausalAlignment::kBottomRight, 1, 1, lengths.q, lengths.k, -1, -1}, std::move(values));
}

/// Row 0 of a mask whose queries are the last positions of the keys.
inline std::int64_t first_position(const SequenceLengths& lengths) {
  return std::int64_t{lengths.k} - lengths.q;
}

using C1Column = std::array<std::int64_t, 1>;  ///< LTS
using C2Column = std::array<std::int64_t, 2>;  ///< LTS, LTE
using F2Column = std::array<std::int64_t, 2>;  ///< LTS, UTE
using F4Column = std::array<std::int64_t, 4>;  ///< LTS, LTE, UTS, UTE

template <typename ValuesOf>
Mask make_c1(const SequenceLengths& lengths, const ValuesOf& values_of) {
  return from_positions<1>(lengths, MaskForm::kC1, first_position(lengths), values_of);
}
template <typename ValuesOf>
Mask make_c2(const SequenceLengths& lengths, const ValuesOf& values_of) {
  return from_positions<2>(lengths, MaskForm::kC2, first_position(lengths), values_of);
}
template <typename ValuesOf>
Mask make_f2(const SequenceLengths& lengths, const ValuesOf& values_of) {
  return from_positions<2>(lengths, MaskForm::kF2, first_position(lengths), values_of);
}
template <typename ValuesOf>
Mask make_f4(const SequenceLengths& lengths, const ValuesOf& values_of) {
  return from_positions<4>(lengths, MaskForm::kF4, first_position(lengths), values_of);
}

/// The sequence of spans with these lengths, end to end from `first`.
inline std::vector<TokenSpan> spans_of(const std::vector<int>& lengths, int first = 0) {
  std::vector<TokenSpan> spans;
  spans.reserve(lengths.size());
  for (const int length : lengths) {
    spans.push_back({first, first + length});
    first += length;
  }
  return spans;
}

/// For each of `tokens` positions the number of the span that holds it, -1 for none. Spans may be empty.
inline std::vector<int> span_numbers(const std::vector<TokenSpan>& spans, int tokens) {
  std::vector<int> numbers(static_cast<std::size_t>(tokens), -1);
  for (std::size_t n = 0; n < spans.size(); ++n) {
    std::fill(numbers.begin() + spans[n].first, numbers.begin() + spans[n].end, static_cast<int>(n));
  }
  return numbers;
}

}  // namespace flashmask::masks
