#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "flashmask/mask.h"

namespace flashmask {

/// The masked rows of every key column of a mask, without a form: any number of intervals per column, each list as
/// interval_sets.h has it. What composition, selection and dense masks make before a form is chosen. Columns are
/// numbered [batch, num_heads, seqlen_k].
class MaskedColumns {
 public:
  /// No columns yet: append() adds them in order.
  explicit MaskedColumns(const MaskExtents& extents);
  explicit MaskedColumns(const Mask& mask);

  void append(std::span<const RowInterval> masked_rows);

  const MaskExtents& extents() const { return extents_; }
  std::size_t size() const { return ends_.size() - 1; }
  std::span<const RowInterval> operator[](std::size_t column) const {
    return std::span(intervals_).subspan(ends_[column], ends_[column + 1] - ends_[column]);
  }
  /// The key of a column.
  int key(std::size_t column) const { return static_cast<int>(column % static_cast<std::size_t>(extents_.seqlen_k)); }

 private:
  MaskExtents extents_;
  std::vector<RowInterval> intervals_;
  std::vector<std::size_t> ends_;  ///< ends_[c + 1]: where column c's intervals end
};

/// Number of key columns in all batch entries and mask heads.
inline std::size_t column_count(const MaskExtents& extents) {
  return static_cast<std::size_t>(extents.batch) * static_cast<std::size_t>(extents.num_heads) *
         static_cast<std::size_t>(extents.seqlen_k);
}

}  // namespace flashmask
