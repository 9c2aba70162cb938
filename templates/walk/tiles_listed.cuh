#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "mask/rows_all.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"
#include "primitives/thread.cuh"
#include "walk/visited_tile.cuh"

namespace flashmask {

/// Batch entry and mask head of this CTA as one number.
__device__ __forceinline__ long long mask_head(const ForwardArguments& arguments) {
  const unsigned head = read_block_y() / arguments.heads_per_mask_head;
  return static_cast<long long>(read_block_z()) * arguments.num_heads_mask + head;
}

/// The key tiles that a query tile visits when key columns hide intervals of rows: those that the plan finds visible,
/// or, without a plan, every tile that the rows alone leave. Their numbers pass through a list in shared memory, which
/// one warp fills from the bits of the plan, half by half: the loop keeps a position and nothing else.
class TileWalk {
 public:
  static constexpr int kHalf = 64;
  static constexpr int kCursor = 2 * kHalf * 4;  // bytes behind the list: where its last filling ended
  static constexpr int kSharedBytes = kCursor + 16;
  /// Behind the next barrier of the loop at `position`, and until the one after that is passed by the next position,
  /// entries before position + kReach are read.
  static constexpr int kReach = config::kStages / 2 + 2;

  /// The query tile of this CTA, longest work first.
  static __device__ __forceinline__ int query_tile(const ForwardArguments& arguments) {
    if (arguments.plan_work != nullptr) return planned_work(arguments).tile;
    const unsigned x = read_block_x();
    return static_cast<int>(RowMask::kHasLast ? gridDim.x - 1 - x : x);
  }

  /// Of this CTA's rows. Lists the first tiles; the caller lets all warps see them.
  __device__ __forceinline__ TileWalk(const ForwardArguments& arguments, const RowMask& row_mask, int, int,
                                      unsigned shared)
      : list_(shared) {
    if (threadIdx.x < 32) fill(arguments, row_mask, 0);
  }

  /// The tile of a position. Positions are visited from 0 on, until one has none.
  __device__ __forceinline__ VisitedTile at(int position) const {
    int entry[1];
    load_shared(entry, address(position));
    return {entry[0] >= 0, entry[0] >> 1, (entry[0] & 1) != 0};
  }

  /// Keeps the list ahead of the loop: behind the last barrier of a step, while the other warps multiply. The first
  /// barrier of the next step lets all warps see what was listed; what is overwritten was visited kHalf steps ago.
  __device__ __forceinline__ void look_ahead(const ForwardArguments& arguments, const RowMask& row_mask,
                                             int position) const {
    if ((position + kReach) % kHalf == 0 && threadIdx.x < 32) fill(arguments, row_mask, position + kReach);
  }

 private:
  /// Read anew wherever it is needed, so that it lives in no register meanwhile.
  static __device__ __forceinline__ mask_plan::Work planned_work(const ForwardArguments& arguments) {
    const uint4 work =
        load_global_16(arguments.plan_work + mask_head(arguments) * arguments.row_tiles + read_block_x());
    return {static_cast<int>(work.x), static_cast<int>(work.y), static_cast<int>(work.z), static_cast<int>(work.w)};
  }

  __device__ __forceinline__ unsigned address(int position) const { return list_ + position % (2 * kHalf) * 4u; }
  __device__ __forceinline__ void list(int position, int tile, bool is_partial) const {
    store_shared(address(position), static_cast<unsigned>(2 * tile + (is_partial ? 1 : 0)));
  }

  /// Lists the positions from `first` on, as many as a half holds; by one warp.
  __device__ __forceinline__ void fill(const ForwardArguments& arguments, const RowMask& row_mask, int first) const {
    const int lane = static_cast<int>(read_lane());
    const unsigned lanes_below = read_lanes_below();
    const int end = first + kHalf;
    if (arguments.plan_work == nullptr) {
      const int first_row = query_tile(arguments) * config::kTileQ;
      const int last_row = min(first_row + config::kTileQ, arguments.seqlen_q) - 1;
      const int first_tile = row_mask.keys_of_row(first_row).first / config::kTileK;
      const int end_tile = (row_mask.keys_of_row(last_row).last + config::kTileK) / config::kTileK;
#pragma unroll
      for (int i = 0; i < kHalf; i += 32) {
        const int tile = first_tile + first + i + lane;
        list(first + i + lane, tile < end_tile ? tile : kNoTile, true);
      }
      return;
    }
    const mask_plan::Work work = planned_work(arguments);
    const mask_plan::TileWord* classes =
        arguments.plan_classes + (mask_head(arguments) * arguments.row_tiles + work.tile) * arguments.class_words;
    int word = work.first / 32;  // the word to look at next
    int position = 0;            // of its first visible tile
    if (first > 0) {
      int cursor[2];
      load_shared(cursor, list_ + kCursor);
      word = cursor[0];
      position = cursor[1];
    }
    int last_word = word, last_position = position;
#pragma unroll 1
    for (; position < end && word <= work.last / 32; word += 32) {
      uint2 mine = {0, 0};
      if (word + lane <= work.last / 32) mine = load_global_8(classes + word + lane);
      unsigned lanes = __ballot_sync(0xffffffffu, (mine.x | mine.y) != 0);
#pragma unroll 1
      for (; lanes != 0 && position < end; lanes &= lanes - 1) {
        const int source = __ffs(static_cast<int>(lanes)) - 1;
        const unsigned partial = __shfl_sync(0xffffffffu, mine.x, source);
        const unsigned visible = partial | __shfl_sync(0xffffffffu, mine.y, source);
        const int own = position + __popc(visible & lanes_below);
        const int tile = (word + source) * 32 + lane;
        if ((visible >> lane & 1) != 0 && own >= first && own < end)
          list(own, tile,  // keys past the end are hidden one by one
               (partial >> lane & 1) != 0 || tile == arguments.cut_key_tile);
        last_word = word + source;
        last_position = position;
        position += __popc(visible);
      }
    }
    for (int rest = position + lane; rest < end; rest += 32) list(rest, kNoTile, true);
    // The last word may hold more tiles than there was room for: the next filling looks at it again.
    if (lane == 0)
      store_shared(list_ + kCursor, static_cast<unsigned>(last_word), static_cast<unsigned>(last_position));
    __syncwarp();
  }

  static constexpr int kNoTile = -1;

  unsigned list_;
};

}  // namespace flashmask
