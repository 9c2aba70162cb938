#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"
#include "primitives/thread.cuh"
#include "walk/visited_tile.cuh"

namespace flashmask {

/// The key tiles that a query tile visits: those that the plan finds visible, or, without a plan, every tile that the
/// rows alone leave. Their numbers pass through a list in shared memory, which one warp fills half by half: the loop
/// keeps a position and nothing else.
class TileWalk {
 public:
  static constexpr int kHalf = 64;
  static constexpr int kCursor = 2 * kHalf * 4;  // bytes behind the list: where the last filling from a plan ended
  static constexpr int kSource = kCursor + 8;    // where the plan's bits of this row of tiles lie; null: no plan
  static constexpr int kRange = kCursor + 16;    // what there is to list, a Range
  static constexpr int kSharedBytes = kCursor + 32;
  /// Behind the next barrier of the loop at `position`, and until the one after that is passed by the next position,
  /// entries before position + kReach are read.
  static constexpr int kReach = config::kStages / 2 + 2;

  /// The row of tiles with this rank among those of the mask head, longest work first. The last rows of a causal mask
  /// see the most keys.
  static __device__ __forceinline__ RowOfTiles row_of_tiles(const ForwardArguments& arguments, const RowMask& row_mask,
                                                            int rank, int mask_head) {
    if (has_plan(arguments)) {
      const uint4 work =
          load_global_16(arguments.plan_work + static_cast<long long>(mask_head) * arguments.row_tiles + rank);
      return {static_cast<int>(work.x), static_cast<int>(work.y), static_cast<int>(work.z)};
    }
    const int query_tile = RowMask::kHasLast ? arguments.row_tiles - 1 - rank : rank;
    const auto [first_row, last_row] = rows_of(arguments, query_tile);
    // Both ends of a row's keys grow with the row.
    return {query_tile, row_mask.keys_of_row(first_row).first / config::kTileK,
            (row_mask.keys_of_row(last_row).last + config::kTileK) / config::kTileK - 1};
  }

  /// Lists the first tiles; the caller lets all warps see them.
  __device__ __forceinline__ TileWalk(const ForwardArguments& arguments, const RowMask& row_mask, const RowOfTiles& row,
                                      int mask_head, unsigned shared)
      : list_(shared) {
    if (threadIdx.x >= 32) return;
    if (has_plan(arguments)) {
      const mask_plan::TileWord* classes =
          arguments.plan_classes +
          (static_cast<long long>(mask_head) * arguments.row_tiles + row.query_tile) * arguments.class_words;
      const Range words{row.first / 32, row.last / 32 + 1, arguments.cut_key_tile, arguments.cut_key_tile + 1};
      keep(classes, words);
      list_planned(0, classes, words, row.first / 32, 0);
      return;
    }
    Range tiles{row.first, row.last + 1, 0, 0};
    if constexpr (ColumnMask::kVectors == 0) {  // else any tile may be cut
      const auto [first_row, last_row] = rows_of(arguments, row.query_tile);
      tiles.special_begin = (row_mask.keys_of_row(last_row).first + config::kTileK - 1) / config::kTileK;
      tiles.special_end = (row_mask.keys_of_row(first_row).last + 1) / config::kTileK;
    }
    keep(nullptr, tiles);
    list_range(0, tiles);
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
    int range[4];
    load_shared(range, list_ + kRange);
    const Range kept{range[0], range[1], range[2], range[3]};
    if constexpr (ColumnMask::kVectors > 0) {
      if (const void* classes = load_shared_pointer(list_ + kSource); classes != nullptr) {
        int cursor[2];
        load_shared(cursor, list_ + kCursor);
        __syncwarp();  // lane 0 is going to move it
        list_planned(position + kReach, static_cast<const mask_plan::TileWord*>(classes), kept, cursor[0], cursor[1]);
        return;
      }
    }
    list_range(position + kReach, kept);
  }

 private:
  static constexpr int kNoTile = -1;

  /// Of key tiles, or of words of 32 of them. Special are: without a plan, the tiles that are full; with a plan, the
  /// one at the end of which keys are missing.
  struct Range {
    int begin;
    int end;
    int special_begin;
    int special_end;
  };
  struct Rows {
    int first;
    int last;
  };

  static __device__ __forceinline__ bool has_plan(const ForwardArguments& arguments) {
    return ColumnMask::kVectors > 0 && arguments.plan_work != nullptr;
  }
  static __device__ __forceinline__ Rows rows_of(const ForwardArguments& arguments, int query_tile) {
    const int first = query_tile * config::kTileQ;
    return {first, min(first + config::kTileQ, arguments.seqlen_q) - 1};
  }

  __device__ __forceinline__ unsigned address(int position) const { return list_ + position % (2 * kHalf) * 4u; }
  __device__ __forceinline__ void list(int position, int tile, bool is_partial) const {
    store_shared(address(position), static_cast<unsigned>(2 * tile + (is_partial ? 1 : 0)));
  }

  /// For look_ahead(), so that what the list is made of lives in no register.
  __device__ __forceinline__ void keep(const mask_plan::TileWord* classes, const Range& range) const {
    if (read_lane() != 0) return;
    store_shared(list_ + kSource, classes);
    store_shared(list_ + kRange, static_cast<unsigned>(range.begin), static_cast<unsigned>(range.end));
    store_shared(list_ + kRange + 8, static_cast<unsigned>(range.special_begin),
                 static_cast<unsigned>(range.special_end));
  }

  /// Lists half a list of positions from `first` on, of all tiles of the range.
  __device__ __forceinline__ void list_range(int first, const Range& tiles) const {
    const int lane = static_cast<int>(read_lane());
#pragma unroll
    for (int i = 0; i < kHalf; i += 32) {
      const int tile = tiles.begin + first + i + lane;
      list(first + i + lane, tile < tiles.end ? tile : kNoTile,
           tile < tiles.special_begin || tile >= tiles.special_end);
    }
  }

  /// Lists half a list of positions from `first` on, of the visible tiles in a range of the plan's words; the first
  /// visible tile of `word` is that of `position`. Where keys are missing they are hidden one by one.
  __device__ __forceinline__ void list_planned(int first, const mask_plan::TileWord* classes, const Range& words,
                                               int word, int position) const {
    const int lane = static_cast<int>(read_lane());
    const unsigned lanes_below = read_lanes_below();
    const int end = first + kHalf;
    int last_word = word, last_position = position;
#pragma unroll 1
    for (; position < end && word < words.end; word += 32) {
      uint2 mine = {0, 0};
      if (word + lane < words.end) mine = load_global_8(classes + word + lane);
      unsigned lanes = __ballot_sync(0xffffffffu, (mine.x | mine.y) != 0);
#pragma unroll 1
      for (; lanes != 0 && position < end; lanes &= lanes - 1) {
        const int source = __ffs(static_cast<int>(lanes)) - 1;
        const unsigned partial = __shfl_sync(0xffffffffu, mine.x, source);
        const unsigned visible = partial | __shfl_sync(0xffffffffu, mine.y, source);
        const int own = position + __popc(visible & lanes_below);
        const int tile = (word + source) * 32 + lane;
        if ((visible >> lane & 1) != 0 && own >= first && own < end)
          list(own, tile, (partial >> lane & 1) != 0 || tile == words.special_begin);
        last_word = word + source;
        last_position = position;
        position += __popc(visible);
      }
    }
    // Not before `first`: where the tiles end in the half before, others are reading that now.
    for (int rest = max(position, first) + lane; rest < end; rest += 32) list(rest, kNoTile, true);
    // The last word may hold more tiles than there was room for: the next filling looks at it again.
    if (lane == 0)
      store_shared(list_ + kCursor, static_cast<unsigned>(last_word), static_cast<unsigned>(last_position));
  }

  unsigned list_;
};

}  // namespace flashmask
