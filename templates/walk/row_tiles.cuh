#pragma once

#include "backward_arguments.cuh"
#include "config.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/bits.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/thread.cuh"

namespace flashmask {

/// A query tile on the way of a key tile.
struct RowTileStep {
  bool exists;  // otherwise the way ends here
  int row_tile;
  int head;         // query head
  bool is_partial;  // elements of it have to be tested
};

/// The query tiles that a key tile visits, head by head of those that share its key head, and the last ones first, for
/// a warp whose lanes ask together: those that the plan finds visible, or, without a plan, every tile that the rows
/// alone leave. (Under a diagonal all key tiles see the last rows: where they add to them in turn, those that started
/// one after the other then meet at once, and keep their distance.)
class RowTiles {
 public:
  __device__ __forceinline__ RowTiles(const BackwardArguments& arguments, int batch, int first_head, int key_tile)
      : arguments_(arguments),
        mask_batch_(batch * arguments.num_heads_mask),
        head_(first_head),
        end_head_(first_head + arguments.heads_per_cta),
        key_tile_(key_tile) {
    if (has_plan(arguments)) {
      begin_planned_head();
    } else {
      begin_head();
    }
  }

  static __device__ __forceinline__ bool has_plan(const BackwardArguments& arguments) {
    return ColumnMask::kVectors > 0 && arguments.plan_work != nullptr;
  }

  /// To be called until a step does not exist.
  __device__ __forceinline__ RowTileStep next() { return has_plan(arguments_) ? next_planned() : next_in_range(); }

  /// Deterministic: key tiles add to a tile of the query gradient in ascending order, so this one's turn is the number
  /// of visible ones before it.
  __device__ __forceinline__ unsigned turn_of(const RowTileStep& step) const {
    if (!has_plan(arguments_))
      return key_tile_ - RowMask(arguments_).keys_of_row(step.row_tile * config::kTileQ).first / config::kTileK;
    const int key_words = (arguments_.key_tiles + 31) / 32;
    const mask_plan::TileWord* words =
        arguments_.plan_row_words +
        (static_cast<long long>(mask_head(step.head)) * arguments_.row_tiles + step.row_tile) * key_words;
    unsigned before = 0;
#pragma unroll 1
    for (int word = static_cast<int>(read_lane()); word <= key_tile_ / 32; word += 32) {
      const uint2 classes = load_global_8(words + word);
      before += __popc((classes.x | classes.y) & (word < key_tile_ / 32 ? ~0u : low_bits(key_tile_ % 32)));
    }
    return __reduce_add_sync(0xffffffffu, before);
  }

 private:
  __device__ __forceinline__ int mask_head(int head) const {
    return mask_batch_ + head / arguments_.heads_per_mask_head;
  }
  __device__ __forceinline__ int first_key() const { return key_tile_ * config::kTileK; }
  __device__ __forceinline__ int last_key() const { return min(first_key() + config::kTileK, arguments_.seqlen_k) - 1; }
  /// Where keys are missing at the end of the tile, they are hidden one by one.
  __device__ __forceinline__ bool is_cut() const { return first_key() + config::kTileK > arguments_.seqlen_k; }

  /// Tiles with rows that see some key, as far as rows alone decide.
  __device__ __forceinline__ void begin_head() {
    const RowMask row_mask(arguments_);
    const RowRange of_first = row_mask.rows_of_key(first_key());
    const RowRange of_last = row_mask.rows_of_key(last_key());
    const int last_row = arguments_.seqlen_q - 1;
    first_tile_ = of_first.first / config::kTileQ;
    const bool sees_none = of_last.last < 0 || of_first.first > last_row;
    next_tile_ = sees_none ? first_tile_ - 1 : min(of_last.last, last_row) / config::kTileQ;
  }
  __device__ __forceinline__ RowTileStep next_in_range() {
    if (next_tile_ < first_tile_) {
      // Of all heads the same tiles.
      if (++head_ >= end_head_) return {false, 0, 0, false};
      begin_head();
      if (next_tile_ < first_tile_) return {false, 0, 0, false};
    }
    const int tile = next_tile_--;
    if (ColumnMask::kVectors > 0 || is_cut()) return {true, tile, head_, true};
    // In full tiles every row sees every key.
    const RowMask row_mask(arguments_);
    const bool is_full =
        tile * config::kTileQ >= row_mask.rows_of_key(last_key()).first &&
        min((tile + 1) * config::kTileQ, arguments_.seqlen_q) - 1 <= row_mask.rows_of_key(first_key()).last;
    return {true, tile, head_, !is_full};
  }

  __device__ __forceinline__ void begin_planned_head() {
    const long long slice = static_cast<long long>(mask_head(head_)) * arguments_.key_tiles + key_tile_;
    const uint4 summary = load_global_16(arguments_.plan_summaries + slice);
    const int last_tile = static_cast<int>(summary.y);
    first_word_ = static_cast<int>(summary.x) / 32;
    // From the last word down, 32 at a time.
    chunk_ = last_tile < 0 ? first_word_ - 1 : last_tile / 32;
    classes_ = arguments_.plan_classes + slice * ((arguments_.row_tiles + 31) / 32);
    words_ = 0;
    visible_ = 0;
    read_chunk();
  }
  /// Lane i holds the i-th word below `chunk_`.
  __device__ __forceinline__ void read_chunk() {
    const int word = chunk_ - static_cast<int>(read_lane());
    own_ = word >= first_word_ ? load_global_8(classes_ + word) : uint2{0, 0};
    words_ = __ballot_sync(0xffffffffu, (own_.x | own_.y) != 0);
  }
  __device__ __forceinline__ RowTileStep next_planned() {
    while (visible_ == 0) {
      while (words_ == 0) {
        chunk_ -= 32;
        if (chunk_ >= first_word_) {
          read_chunk();
        } else {
          if (++head_ >= end_head_) return {false, 0, 0, false};
          begin_planned_head();
        }
      }
      const int source = __ffs(static_cast<int>(words_)) - 1;
      words_ &= words_ - 1;
      partial_ = __shfl_sync(0xffffffffu, own_.x, source);
      visible_ = partial_ | __shfl_sync(0xffffffffu, own_.y, source);
      first_tile_ = (chunk_ - source) * 32;
    }
    const int bit = 31 - __clz(static_cast<int>(visible_));
    visible_ ^= 1u << bit;
    return {true, first_tile_ + bit, head_, (partial_ >> bit & 1) != 0 || is_cut()};
  }

  const BackwardArguments& arguments_;
  int mask_batch_;
  int head_;
  int end_head_;
  int key_tile_;
  int first_tile_ = 0;  // without a plan, of the head; with a plan, of the word
  int next_tile_ = 0;
  // With a plan: the classes of this column of tiles; 32 words of them, a word in each lane; what is left of a word.
  const mask_plan::TileWord* classes_ = nullptr;
  int first_word_ = 0;
  int chunk_ = 0;
  uint2 own_ = {0, 0};
  unsigned words_ = 0;
  unsigned visible_ = 0;
  unsigned partial_ = 0;
};

}  // namespace flashmask
