#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "mask/rows_all.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"
#include "primitives/thread.cuh"
#include "walk/visited_tile.cuh"

namespace flashmask {

/// The key tiles that a query tile visits when key columns hide intervals of rows: those that the plan finds visible,
/// or, without a plan, every tile that the rows alone leave. Their numbers pass through a list in shared memory, which
/// one warp fills from the bits of the plan, half by half: the loop keeps a position and nothing else.
class TileWalk {
 public:
  static constexpr int kHalf = 64;
  static constexpr int kCursor = 2 * kHalf * 4;  // bytes behind the list: where its last filling ended
  static constexpr int kRange = kCursor + 8;     // what there is to list, see list_range()
  static constexpr int kClasses = kCursor + 16;  // where the plan's bits of this row of tiles lie
  static constexpr int kSharedBytes = kCursor + 32;
  /// Behind the next barrier of the loop at `position`, and until the one after that is passed by the next position,
  /// entries before position + kReach are read.
  static constexpr int kReach = config::kStages / 2 + 2;

  /// The query tile with this rank among those of the mask head, longest work first.
  static __device__ __forceinline__ int query_tile(const ForwardArguments& arguments, int rank, int mask_head) {
    if (arguments.plan_work != nullptr) return static_cast<int>(planned_work(arguments, rank, mask_head).x);
    return RowMask::kHasLast ? arguments.row_tiles - 1 - rank : rank;
  }

  /// Of the rows first_row … last_row, the query tile with this rank. Lists the first tiles; the caller lets all warps
  /// see them.
  __device__ __forceinline__ TileWalk(const ForwardArguments& arguments, const RowMask& row_mask, int rank,
                                      int mask_head, int first_row, int last_row, unsigned shared)
      : list_(shared) {
    if (threadIdx.x >= 32) return;
    if (arguments.plan_work == nullptr) {
      const int first_tile = row_mask.keys_of_row(first_row).first / config::kTileK;
      const int end_tile = (row_mask.keys_of_row(last_row).last + config::kTileK) / config::kTileK;
      keep_source(nullptr, first_tile, end_tile);
      list_range(0, first_tile, end_tile);
    } else {
      const uint4 work = planned_work(arguments, rank, mask_head);
      const mask_plan::TileWord* classes =
          arguments.plan_classes +
          (static_cast<long long>(mask_head) * arguments.row_tiles + work.x) * arguments.class_words;
      const int first_word = static_cast<int>(work.y) / 32;
      const int end_word = static_cast<int>(work.z) / 32 + 1;
      keep_source(classes, arguments.cut_key_tile, end_word);
      list_planned(0, classes, arguments.cut_key_tile, end_word, first_word, 0);
    }
  }

  /// The tile of a position. Positions are visited from 0 on, until one has none.
  __device__ __forceinline__ VisitedTile at(int position) const {
    int entry[1];
    load_shared(entry, address(position));
    return {entry[0] >= 0, entry[0] >> 1, (entry[0] & 1) != 0};
  }

  /// Keeps the list ahead of the loop: behind the last barrier of a step, while the other warps multiply. The first
  /// barrier of the next step lets all warps see what was listed; what is overwritten was visited kHalf steps ago.
  __device__ __forceinline__ void look_ahead(int position) const {
    if ((position + kReach) % kHalf != 0 || threadIdx.x >= 32) return;
    const auto* classes = static_cast<const mask_plan::TileWord*>(load_shared_pointer(list_ + kClasses));
    int cursor[2], range[2];
    load_shared(cursor, list_ + kCursor);
    load_shared(range, list_ + kRange);
    if (classes == nullptr) {
      list_range(position + kReach, range[0], range[1]);
    } else {
      list_planned(position + kReach, classes, range[0], range[1], cursor[0], cursor[1]);
    }
  }

 private:
  /// An entry of the plan's work: its tile, the first and the last visible key tile.
  static __device__ __forceinline__ uint4 planned_work(const ForwardArguments& arguments, int rank, int mask_head) {
    return load_global_16(arguments.plan_work + static_cast<long long>(mask_head) * arguments.row_tiles + rank);
  }

  __device__ __forceinline__ unsigned address(int position) const { return list_ + position % (2 * kHalf) * 4u; }
  __device__ __forceinline__ void list(int position, int tile, bool is_partial) const {
    store_shared(address(position), static_cast<unsigned>(2 * tile + (is_partial ? 1 : 0)));
  }

  /// For look_ahead(), so that what the list is made of lives in no register.
  __device__ __forceinline__ void keep_source(const mask_plan::TileWord* classes, int first, int second) const {
    if (read_lane() != 0) return;
    store_shared(list_ + kClasses, classes);
    store_shared(list_ + kRange, static_cast<unsigned>(first), static_cast<unsigned>(second));
  }

  /// Lists half a list of positions from `first` on, of all tiles from first_tile to end_tile - 1.
  __device__ __forceinline__ void list_range(int first, int first_tile, int end_tile) const {
    const int lane = static_cast<int>(read_lane());
#pragma unroll
    for (int i = 0; i < kHalf; i += 32) {
      const int tile = first_tile + first + i + lane;
      list(first + i + lane, tile < end_tile ? tile : kNoTile, true);
    }
  }

  /// Lists half a list of positions from `first` on, of the visible tiles in the plan's words up to end_word; the first
  /// visible tile of `word` is that of `position`. Of cut_tile keys are missing: they are hidden one by one.
  __device__ __forceinline__ void list_planned(int first, const mask_plan::TileWord* classes, int cut_tile,
                                               int end_word, int word, int position) const {
    const int lane = static_cast<int>(read_lane());
    const unsigned lanes_below = read_lanes_below();
    const int end = first + kHalf;
    int last_word = word, last_position = position;
#pragma unroll 1
    for (; position < end && word < end_word; word += 32) {
      uint2 mine = {0, 0};
      if (word + lane < end_word) mine = load_global_8(classes + word + lane);
      unsigned lanes = __ballot_sync(0xffffffffu, (mine.x | mine.y) != 0);
#pragma unroll 1
      for (; lanes != 0 && position < end; lanes &= lanes - 1) {
        const int source = __ffs(static_cast<int>(lanes)) - 1;
        const unsigned partial = __shfl_sync(0xffffffffu, mine.x, source);
        const unsigned visible = partial | __shfl_sync(0xffffffffu, mine.y, source);
        const int own = position + __popc(visible & lanes_below);
        const int tile = (word + source) * 32 + lane;
        if ((visible >> lane & 1) != 0 && own >= first && own < end)
          list(own, tile, (partial >> lane & 1) != 0 || tile == cut_tile);
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
