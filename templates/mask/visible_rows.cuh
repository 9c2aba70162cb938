#pragma once

#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/bits.cuh"

namespace flashmask {

/// The lane's rows, of kRows from its `first_own` on, that lie before `row`: two of every eight.
template <int kRows>
__device__ __forceinline__ unsigned rows_before(int row, int first_own) {
  // Saturates at both ends: a bound may be any number.
  const int distance = min(max(row, first_own), first_own + kRows) - first_own;
  return low_bits(distance / 8 * 2 + min(distance % 8, 2));
}

/// Which of kRows rows from `first_row` on see a key, for one lane: a bit for each of the rows that it holds of a
/// transposed accumulator, those of block n, 8 n + 2 (lane % 4) (+ 1), at 2 n (+ 1). One test of a bit then answers for
/// the diagonal, a window and any number of intervals. Whether rows past the end see the key does not matter.
template <int kRows>
__device__ __forceinline__ unsigned visible_rows(const RowMask& row_mask, const ColumnMask& column, int key,
                                                 int first_row, int lane) {
  static_assert(kRows <= 128, "a lane has a bit for every fourth row");
  if (key >= row_mask.seqlen_k) return 0;
  const int first_own = first_row + lane % 4 * 2;
  const RowRange rows = row_mask.rows_of_key(key);
  unsigned bits = low_bits(kRows / 4);
  if constexpr (RowMask::kHasFirst) bits = rows_before<kRows>(min(rows.last, kNoLastRow - 1) + 1, first_own);
  if constexpr (RowMask::kHasLast) bits &= ~rows_before<kRows>(rows.first, first_own);
#pragma unroll
  for (int i = 0; i < ColumnMask::kIntervals; ++i)
    bits &= ~(rows_before<kRows>(column.end(i), first_own) & ~rows_before<kRows>(column.start(i), first_own));
  return bits;
}

}  // namespace flashmask
