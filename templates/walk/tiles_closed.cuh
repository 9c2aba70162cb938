#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "mask/rows_all.cuh"
#include "walk/visited_tile.cuh"

namespace flashmask {

/// The key tiles that a query tile visits when the mask is a closed form of its rows: a run of neighbours, of which a
/// run in the middle is full.
class TileWalk {
 public:
  static constexpr int kSharedBytes = 0;

  /// The query tile with this rank. The last rows of a causal mask see the most keys: they start first.
  static __device__ __forceinline__ int query_tile(const ForwardArguments& arguments, int rank, int) {
    return RowMask::kHasLast ? arguments.row_tiles - 1 - rank : rank;
  }

  /// Of the rows first_row … last_row.
  __device__ __forceinline__ TileWalk(const ForwardArguments&, const RowMask& row_mask, int, int, int first_row,
                                      int last_row, unsigned) {
    // Both ends of a row's keys grow with the row.
    const KeyRange of_first = row_mask.keys_of_row(first_row);
    const KeyRange of_last = row_mask.keys_of_row(last_row);
    first_tile_ = of_first.first / config::kTileK;
    count_ = (of_last.last + config::kTileK) / config::kTileK - first_tile_;
    full_begin_ = (of_last.first + config::kTileK - 1) / config::kTileK - first_tile_;
    full_end_ = (of_first.last + 1) / config::kTileK - first_tile_;
  }

  /// The tile of a position. Positions are visited from 0 on, until one has none.
  __device__ __forceinline__ VisitedTile at(int position) const {
    return {position < count_, first_tile_ + position, position < full_begin_ || position >= full_end_};
  }
  __device__ __forceinline__ void look_ahead(int) const {}

 private:
  int first_tile_;
  int count_;
  int full_begin_;
  int full_end_;
};

}  // namespace flashmask
