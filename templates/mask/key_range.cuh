#pragma once

namespace flashmask {

/// The keys first … last that a row may see; none if last < first. Both ends grow with the row, in every form.
struct KeyRange {
  int first;
  int last;
};

/// The rows first … last that may see a key, as far as rows alone decide; they may reach beyond the rows there are.
/// Both ends grow with the key, in every form.
struct RowRange {
  int first;
  int last;
};

inline constexpr int kNoLastRow = 0x7fffffff;

}  // namespace flashmask
