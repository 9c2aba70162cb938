#pragma once

#include "accumulator_tile.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/half_pairs.cuh"
#include "primitives/shared_memory.cuh"

namespace flashmask {

/// What the mask leaves of one key column in a tile of kRows rows: the rows between two bounds, but for intervals that
/// lie inside. Most tiles have none inside: an interval that reaches over an edge of the tile, the diagonal and the end
/// of the keys only move the bounds. Rows count from the first of the tile, so fp16 holds them.
template <int kRows>
struct TileColumn {
  int first = 0;
  int end = kRows;
  int inside_first[ColumnMask::kBounded > 0 ? ColumnMask::kBounded : 1] = {};
  int inside_end[ColumnMask::kBounded > 0 ? ColumnMask::kBounded : 1] = {};

  __device__ __forceinline__ TileColumn(const ColumnMask& column, const RowMask& row_mask, int key, int first_row) {
    if (key >= row_mask.seqlen_k) end = 0;
    if constexpr (RowMask::kHasLast) first = row_of_tile(row_mask.rows_of_key(key).first, first_row);
#pragma unroll
    for (int i = 0; i < ColumnMask::kIntervals; ++i) take_away(column, i, first_row);
    // What lay inside may touch an edge since the intervals after it have moved that.
#pragma unroll
    for (int i = 0; i < ColumnMask::kBounded - 1; ++i) take_away(column, i, first_row);
  }

 private:
  static __device__ __forceinline__ int row_of_tile(int row, int first_row) {
    return min(max(row, first_row), first_row + kRows) - first_row;
  }

  __device__ __forceinline__ void take_away(const ColumnMask& column, int i, int first_row) {
    const int interval_first = row_of_tile(column.start(i), first_row);
    const int interval_end = row_of_tile(column.end(i), first_row);
    const bool is_before = interval_first <= first;
    const bool is_after = !is_before && interval_end >= end;
    if (is_before) first = max(first, interval_end);
    if (is_after) end = min(end, interval_first);
    if (i < ColumnMask::kBounded) {
      const bool is_inside = !is_before && !is_after && interval_first < interval_end;
      inside_first[i] = is_inside ? interval_first : 0;
      inside_end[i] = is_inside ? interval_end : 0;
    }
  }
};

/// The intervals of a tile's columns in shared memory, made by one warp and read by those that multiply. Of each pair
/// of columns: centres and widths of the rows that are seen, then of what is hidden inside. Twice a row, plus one, is
/// seen if it is nearer to the centre (first + end) than the width (end - first).
template <int kRows, int kKeys>
class TileIntervals {
 public:
  static constexpr int kListBytes = kKeys / 2 * 8;
  static constexpr int kFlags = (1 + ColumnMask::kBounded) * kListBytes;  // which lists of what is inside have any
  static constexpr int kBytes = kFlags + 16;

  /// The bounds of a tile's columns, as the warp that writes reads them from global memory: ahead of the writing, as
  /// far as it has the registers.
  class Columns {
   public:
    static constexpr int kPairs = (kKeys / 2 + 31) / 32;  // of a lane
    static constexpr int kHeldRegisters = 8;
    static constexpr int kAhead = kPairs * 2 * ColumnMask::kVectors <= kHeldRegisters ? kPairs : 0;  // pairs

    /// `bounds`: of key column 0 of the mask head.
    __device__ __forceinline__ void load(const int* bounds, int first_key, int seqlen_k) {
      bounds_ = bounds;
      last_key_ = seqlen_k - 1;
#pragma unroll
      for (int i = 0; i < 2 * kAhead; ++i) held_[i] = read(key_of(first_key, i));
    }
    /// Column i of the lane, whose key is key_of(first_key, i).
    __device__ __forceinline__ ColumnMask column(int first_key, int i) const {
      return i < 2 * kAhead ? held_[i < 2 * kAhead ? i : 0] : read(key_of(first_key, i));
    }
    static __device__ __forceinline__ int key_of(int first_key, int i) {
      return first_key + (i / 2 * 32 + static_cast<int>(read_lane())) * 2 + i % 2;
    }

    static constexpr int kUnroll = kAhead > 0 ? kPairs : 1;

   private:
    __device__ __forceinline__ ColumnMask read(int key) const {
      ColumnMask column;
      // Past the end any bounds will do.
      column.read(bounds_, min(key, last_key_));
      return column;
    }

    const int* bounds_;
    int last_key_;
    ColumnMask held_[kAhead > 0 ? 2 * kAhead : 1];
  };

  __device__ __forceinline__ explicit TileIntervals(unsigned address) : address_(address) {}

  /// By one warp; the caller lets the others see it.
  __device__ __forceinline__ void write(const Columns& columns, const RowMask& row_mask, int first_key,
                                        int first_row) const {
    unsigned inside = 0;
#pragma unroll Columns::kUnroll
    for (int i = 0; i < Columns::kPairs; ++i) {
      const int pair = i * 32 + static_cast<int>(read_lane());
      if (kKeys / 2 % 32 != 0 && pair >= kKeys / 2) break;
      const TileColumn<kRows> left(columns.column(first_key, 2 * i), row_mask, Columns::key_of(first_key, 2 * i),
                                   first_row);
      const TileColumn<kRows> right(columns.column(first_key, 2 * i + 1), row_mask,
                                    Columns::key_of(first_key, 2 * i + 1), first_row);
      write_pair(0, pair, left.first, left.end, right.first, right.end);
#pragma unroll
      for (int k = 0; k < ColumnMask::kBounded; ++k) {
        write_pair(1 + k, pair, left.inside_first[k], left.inside_end[k], right.inside_first[k], right.inside_end[k]);
        if (left.inside_end[k] > 0 || right.inside_end[k] > 0) inside |= 1u << k;
      }
    }
    if constexpr (ColumnMask::kBounded > 0) {
      inside = __reduce_or_sync(0xffffffffu, inside);
      if (read_lane() == 0) store_shared(address_ + kFlags, inside);
    }
  }

  /// Hides what the mask hides from the lane's rows, `first_lane_row` of the tile and the eighth after it.
  template <int kColumnBlocks>
  __device__ __forceinline__ void apply(AccumulatorTile<1, kColumnBlocks>& scores, int first_lane_row, int lane) const {
    const unsigned upper = half_pair(2 * first_lane_row + 1, 2 * first_lane_row + 1);
    const unsigned lower = half_pair(2 * first_lane_row + 17, 2 * first_lane_row + 17);
    hide<true>(scores, 0, upper, lower, lane);
    if constexpr (ColumnMask::kBounded > 0) {
      int inside[1];
      load_shared(inside, address_ + kFlags);
#pragma unroll 1
      for (int k = 0; k < ColumnMask::kBounded; ++k)
        if ((inside[0] >> k & 1) != 0) hide<false>(scores, 1 + k, upper, lower, lane);
    }
  }

 private:
  __device__ __forceinline__ void write_pair(int list, int pair, int left_first, int left_end, int right_first,
                                             int right_end) const {
    store_shared(address_ + list * kListBytes + pair * 8, half_pair(left_first + left_end, right_first + right_end),
                 half_pair(max(left_end - left_first, 0), max(right_end - right_first, 0)));
  }

  template <bool kKeepsInside, int kColumnBlocks>
  __device__ __forceinline__ void hide(AccumulatorTile<1, kColumnBlocks>& scores, int list, unsigned upper,
                                       unsigned lower, int lane) const {
    const unsigned lane_pairs = address_ + list * kListBytes + lane % 4 * 8;
#pragma unroll
    for (int n = 0; n < kColumnBlocks; ++n) {
      int pair[2];
      load_shared(pair, lane_pairs + n * 32);
      float(&at)[4] = scores.block[0][n].at;
      hide_pair<kKeepsInside>(at[0], at[1], upper, static_cast<unsigned>(pair[0]), static_cast<unsigned>(pair[1]));
      hide_pair<kKeepsInside>(at[2], at[3], lower, static_cast<unsigned>(pair[0]), static_cast<unsigned>(pair[1]));
    }
  }

  unsigned address_;
};

}  // namespace flashmask
