#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/thread.cuh"

namespace flashmask {

/// A key tile on the way of a query tile.
struct KeyTileStep {
  int first_key;
  bool is_partial;  // elements of it have to be tested
};

/// The key tiles that a query tile visits, one after the other, for a warp whose lanes ask together: those that the
/// plan finds visible, or, without a plan, every tile that the rows alone leave. How many there are is known before.
class KeyTiles {
 public:
  /// The row of tiles with this rank among those of the mask head, longest work first.
  __device__ __forceinline__ KeyTiles(const ForwardArguments& arguments, const RowMask& row_mask, int rank,
                                      int mask_head)
      : row_mask_(row_mask) {
    if constexpr (ColumnMask::kVectors > 0) {
      seqlen_q_ = 0;
      if (arguments.plan_work != nullptr) {
        const uint4 work =
            load_global_16(arguments.plan_work + static_cast<long long>(mask_head) * arguments.row_tiles + rank);
        query_tile_ = static_cast<int>(work.x);
        count_ = static_cast<int>(work.w);
        end_word_ = static_cast<int>(work.z) / 32 + 1;
        chunk_ = static_cast<int>(work.y) / 32 - 32;
        cut_tile_ = arguments.cut_key_tile;
        classes_ = arguments.plan_classes +
                   (static_cast<long long>(mask_head) * arguments.row_tiles + query_tile_) * arguments.class_words;
        return;
      }
    }
    // The last rows of a causal mask see the most keys.
    query_tile_ = RowMask::kHasLast ? arguments.row_tiles - 1 - rank : rank;
    seqlen_q_ = arguments.seqlen_q;
    // Both ends of a row's keys grow with the row. A tile begins at any multiple of 16 keys: fewer of them are cut.
    const int first = row_mask.keys_of_row(first_row()).first;
    next_key_ = first - first % 16;
    const int last = row_mask.keys_of_row(last_row()).last;
    count_ = last < first ? 0 : (last - next_key_) / config::kTileK + 1;
  }

  __device__ __forceinline__ int first_row() const { return query_tile_ * config::kTileQ; }
  __device__ __forceinline__ int count() const { return count_; }

  /// To be called `count` times.
  __device__ __forceinline__ KeyTileStep next() {
    if constexpr (ColumnMask::kVectors > 0)
      if (classes_ != nullptr) return next_planned();
    const int first_key = next_key_;
    next_key_ += config::kTileK;
    if constexpr (ColumnMask::kVectors > 0) return {first_key, true};  // any tile may be cut
    const bool is_full = first_key >= row_mask_.keys_of_row(last_row()).first &&
                         first_key + config::kTileK - 1 <= row_mask_.keys_of_row(first_row()).last;
    return {first_key, !is_full};
  }

 private:
  __device__ __forceinline__ int last_row() const { return min(first_row() + config::kTileQ, seqlen_q_) - 1; }

  __device__ __forceinline__ KeyTileStep next_planned() {
    while (visible_ == 0) {
      while (words_ == 0) {
        chunk_ += 32;
        const int word = chunk_ + static_cast<int>(read_lane());
        own_ = word < end_word_ ? load_global_8(classes_ + word) : uint2{0, 0};
        words_ = __ballot_sync(0xffffffffu, (own_.x | own_.y) != 0);
      }
      const int source = __ffs(static_cast<int>(words_)) - 1;
      words_ &= words_ - 1;
      partial_ = __shfl_sync(0xffffffffu, own_.x, source);
      visible_ = partial_ | __shfl_sync(0xffffffffu, own_.y, source);
      first_tile_ = (chunk_ + source) * 32;
    }
    const int bit = __ffs(static_cast<int>(visible_)) - 1;
    visible_ &= visible_ - 1;
    const int tile = first_tile_ + bit;
    // Where keys are missing at the end they are hidden one by one.
    return {tile * config::kTileK, (partial_ >> bit & 1) != 0 || tile == cut_tile_};
  }

  const RowMask& row_mask_;
  int query_tile_;
  int count_;
  int seqlen_q_;
  int next_key_ = 0;
  // With a plan: the classes of this row of tiles; 32 words of them, a word in each lane; what is left of a word.
  const mask_plan::TileWord* classes_ = nullptr;
  int chunk_ = 0;
  int end_word_ = 0;
  int cut_tile_ = -1;
  uint2 own_ = {0, 0};
  unsigned words_ = 0;
  unsigned visible_ = 0;
  unsigned partial_ = 0;
  int first_tile_ = 0;
};

}  // namespace flashmask
