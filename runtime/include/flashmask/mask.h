#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/mask_shape.h"

namespace flashmask {

/// Query rows first <= i < end.
struct RowInterval {
  int first = 0;
  int end = 0;

  friend bool operator==(const RowInterval&, const RowInterval&) = default;
};

/// The rows that one key column masks: non-empty intervals, ascending, with at least one visible row between them.
/// No form masks more than two: the diagonal of a causal form merges with, or leaves beside it, a single interval.
class MaskedRows {
 public:
  using value_type = RowInterval;
  using const_iterator = const RowInterval*;
  static constexpr int kMaxIntervals = 2;

  const RowInterval* begin() const { return intervals_.data(); }
  const RowInterval* end() const { return intervals_.data() + size_; }
  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const RowInterval& operator[](int n) const { return intervals_[n]; }
  /// Number of masked rows.
  int rows() const {
    int sum = 0;
    for (const RowInterval& interval : *this) sum += interval.end - interval.first;
    return sum;
  }

 private:
  friend class Mask;
  std::array<RowInterval, kMaxIntervals> intervals_{};
  int size_ = 0;
};

/// The extents of a dense mask, [batch, num_heads, seqlen_q, seqlen_k].
struct MaskExtents {
  int batch = 1;
  int num_heads = 1;
  int seqlen_q = 0;
  int seqlen_k = 0;

  friend bool operator==(const MaskExtents&, const MaskExtents&) = default;
};

/// A mask with its values: which query rows see which keys, per batch entry and mask head, as FlashMask holds it (arXiv
/// 2410.01359). A value on the host; copies own their vectors. All const members may be called from several threads.
///
/// Every member and function of this header throws Error{kInvalidArgument} for what its comment refuses, with the
/// numbers, before it has any effect.
class FLASHMASK_API Mask {
 public:
  /// Longest sequence: rows, windows and offsets then fit 32 bits on the device.
  static constexpr int kMaxSeqlen = 1 << 29;
  /// Largest dense mask that to_dense() and from_dense() handle, in elements of one byte: 16384 by 16384.
  static constexpr std::int64_t kMaxDenseElements = std::int64_t{1} << 28;

  /// `startend_row_indices` is [batch, num_heads, seqlen_k, vectors_per_column(form)], any values; empty for the forms
  /// none, causal and window. Refuses: lengths outside 1 .. kMaxSeqlen, batch or num_heads below 1, batch * num_heads
  /// above 2^31 - 1, an array of another size, windows below -1 or with a form other than window, a top-left alignment
  /// for a form without a diagonal.
  explicit Mask(const MaskShape& shape, std::vector<std::int32_t> startend_row_indices = {});

  const MaskShape& shape() const { return shape_; }
  MaskExtents extents() const { return {shape_.batch, shape_.num_heads, shape_.seqlen_q, shape_.seqlen_k}; }
  /// [batch, num_heads, seqlen_k, vectors], as they were given; owned by the mask.
  std::span<const std::int32_t> startend_row_indices() const { return startend_row_indices_; }

  /// Whether query row `i` sees key `j`: the same rule as reference::is_visible(). `head` is a mask head. Refuses
  /// indices outside the extents.
  bool is_visible(int batch, int head, int i, int j) const;

  /// The rows that key `j` masks, diagonal and window included, clamped to [0, seqlen_q). O(1). Refuses indices outside
  /// the extents.
  MaskedRows masked_rows(int batch, int head, int j) const;

  /// [batch, num_heads, seqlen_q, seqlen_k], 1 where the row sees the key, else 0. Refuses more than kMaxDenseElements.
  std::vector<std::uint8_t> to_dense() const;

  /// The tightest form (see normalised()) of a dense mask [batch, num_heads, seqlen_q, seqlen_k]; anything but 0 is
  /// visible. Refuses a mask that no form holds: "cannot be held: key column 7 needs 5 intervals, form F4 holds 2
  /// (batch entry 0, mask head 0)"; an array of another size; more than kMaxDenseElements.
  static Mask from_dense(const MaskExtents& extents, std::span<const std::uint8_t> visible);

  /// The same in a form of the caller's choice. The diagonal of a causal form counts as given: a column needs intervals
  /// only for the masked rows below it. Refuses a mask that this form does not hold, naming the first key column, what
  /// it needs, what the form holds, and the tightest form that would do, if any.
  static Mask from_dense(const MaskExtents& extents, std::span<const std::uint8_t> visible, MaskForm form,
                         CausalAlignment alignment = CausalAlignment::kBottomRight);

  /// The same visibility in the tightest form that holds it exactly: none < causal < window < C1 < C2 < F2 < F4; where
  /// seqlen_q != seqlen_k, both alignments of a form are tried, bottom-right first. Values are canonical: two masks of
  /// the same extents and visibility normalise to equal masks. O(batch * num_heads * seqlen_k).
  Mask normalised() const;

  /// The same visibility in a form of the caller's choice; refuses as from_dense() does.
  Mask held_as(MaskForm form, CausalAlignment alignment = CausalAlignment::kBottomRight) const;

  /// Query rows first <= i < last alone, in the tightest form; row i becomes row i - first. Refuses an empty or
  /// outlying range.
  Mask slice_rows(int first, int last) const;

  /// The given query rows alone (strictly ascending: a context-parallel shard), in the tightest form; the n-th of them
  /// becomes row n. No column needs more intervals than before, so that this never fails for lack of a form: the
  /// diagonal and the window's edges become explicit intervals where they must. Refuses no rows, rows outside the mask
  /// or not ascending.
  Mask select_rows(std::span<const int> rows) const;

  /// Key columns in another order, in the tightest form: column n of the result is column order[n] of this mask. Free:
  /// no column changes its rows. Refuses an order that is not a permutation of 0 .. seqlen_k - 1.
  Mask permute_keys(std::span<const int> order) const;

  /// The same mask for `batch` entries and `num_heads` mask heads; each of the two must be 1 now, or stay as it is.
  Mask expanded(int batch, int num_heads) const;

  /// Equal representation: shape and values. Compare normalised() masks to compare what is seen.
  friend bool operator==(const Mask&, const Mask&) = default;

 private:
  MaskShape shape_;
  std::vector<std::int32_t> startend_row_indices_;
};

/// AND: a row sees a key where both masks let it, in the tightest form. The masked rows of a column are the union of
/// the two masks'. Lengths must be equal; batch and num_heads equal, or 1 in one of the masks, which then stands for
/// all. Refuses other extents, and masks of which a column needs more intervals than F4 holds, as from_dense() does.
FLASHMASK_API Mask both_see(const Mask& a, const Mask& b);

/// OR: a row sees a key where either mask lets it, in the tightest form. The masked rows of a column are the
/// intersection of the two masks'. Refuses what both_see() refuses.
FLASHMASK_API Mask either_sees(const Mask& a, const Mask& b);

/// Masks of equal lengths and num_heads, one after the other along the batch; in their common form, or else in the
/// tightest form that holds them all. Refuses no masks, other extents, and masks that no one form holds.
FLASHMASK_API Mask stack_batch(std::span<const Mask> masks);

/// The same along the mask heads: equal lengths and batch.
FLASHMASK_API Mask stack_heads(std::span<const Mask> masks);

}  // namespace flashmask
