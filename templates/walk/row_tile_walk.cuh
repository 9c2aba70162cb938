#pragma once

#include "backward_arguments.cuh"
#include "config.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "primitives/bits.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/shared_memory.cuh"
#include "primitives/thread.cuh"

namespace flashmask {

/// A query tile on the way of a key tile, of one of the query heads that share the key head.
struct VisitedRows {
  bool exists;  // otherwise the way ends here
  int tile;
  int head;         // among those of this CTA
  bool is_partial;  // elements of it have to be tested
};

/// The mask head of a query head, over all batch entries.
__device__ __forceinline__ int mask_head_of(const BackwardArguments& arguments, int batch, int head) {
  return batch * arguments.num_heads_mask + head / arguments.heads_per_mask_head;
}

/// A key tile and the query heads whose rows it meets: written down in shared memory, it occupies no register.
class KeyTileWork {
 public:
  static constexpr int kSharedBytes = 16;

  __device__ __forceinline__ explicit KeyTileWork(unsigned shared) : address_(shared) {}

  /// By all threads; they can be read behind the next barrier.
  __device__ __forceinline__ void write(int batch, int first_head, int key_tile, int part) const {
    if (threadIdx.x != 0) return;
    store_shared(address_, static_cast<unsigned>(batch), static_cast<unsigned>(first_head));
    store_shared(address_ + 8, static_cast<unsigned>(key_tile), static_cast<unsigned>(part));
  }
  __device__ __forceinline__ int batch() const { return read(0); }
  /// Query head.
  __device__ __forceinline__ int first_head() const { return read(4); }
  __device__ __forceinline__ int key_tile() const { return read(8); }
  __device__ __forceinline__ int head_kv(const BackwardArguments& arguments) const {
    return first_head() / (arguments.heads_per_cta * arguments.splits);
  }
  /// Of the query heads that share the key head.
  __device__ __forceinline__ int part() const { return read(12); }
  __device__ __forceinline__ int mask_head(const BackwardArguments& arguments, int head) const {
    return mask_head_of(arguments, batch(), first_head() + head);
  }

 private:
  __device__ __forceinline__ int read(int offset) const {
    int value[1];
    load_shared(value, address_ + offset);
    return value[0];
  }

  unsigned address_;
};

/// The query tiles that a key tile visits, head by head and the last ones first: those that the plan finds visible, or,
/// without a plan, every tile that the rows alone leave. (Under a diagonal all key tiles see the last rows: where they
/// add to them in turn, those that started one after the other then meet at once, and keep their distance.) They pass
/// through a list in shared memory, which one warp fills half by half: the loop keeps a position and nothing else.
class RowTileWalk {
 public:
  static constexpr int kHalf = 32;
  static constexpr int kEntryBytes = 8;  // tile and class, head
  // Bytes behind the list: turns, each a word, for those that take them; where the last filling ended.
  static constexpr int kTurns = 2 * kHalf * kEntryBytes;
  static constexpr int kCursor = kTurns + (config::kDeterministic ? 2 * kHalf * 4 : 0);
  static constexpr int kSharedBytes = kCursor + 16;
  /// Before the first barrier of the step at `position`, entries before position + kReach are listed; until the next
  /// step's, no other is read.
  static constexpr int kReach = config::kStages;
  static_assert(kReach < kHalf);

  static __device__ __forceinline__ bool has_plan(const BackwardArguments& arguments) {
    return ColumnMask::kVectors > 0 && arguments.plan_work != nullptr;
  }

  /// Lists the first tiles; the caller lets all warps see them.
  __device__ __forceinline__ RowTileWalk(const BackwardArguments& arguments, const KeyTileWork& work, unsigned shared)
      : arguments_(arguments), work_(work), list_(shared) {
    if (threadIdx.x >= 32) return;
    if (has_plan(arguments)) {
      list_planned(0, {0, 0, 0});
    } else {
      list_range(0);
    }
  }

  /// The tile of a position. Positions are visited from 0 on, until one has none.
  __device__ __forceinline__ VisitedRows at(int position) const {
    int entry[2];
    load_shared(entry, address(position));
    return {entry[0] >= 0, entry[0] >> 1, entry[1], (entry[0] & 1) != 0};
  }
  /// How many key tiles add to the query gradient's tile of this position before this one does.
  __device__ __forceinline__ unsigned turn(int position) const {
    int turn[1];
    load_shared(turn, turn_address(position));
    return static_cast<unsigned>(turn[0]);
  }

  /// Keeps the list ahead of the loop: behind the last barrier of a step, while the other warps multiply. The first
  /// barrier of the next step lets all warps see what was listed; what is overwritten was visited long ago.
  __device__ __forceinline__ void look_ahead(int position) const {
    if ((position + kReach) % kHalf != 0 || threadIdx.x >= 32) return;
    if (!has_plan(arguments_)) {
      list_range(position + kReach);
      return;
    }
    int head_and_word[2], first_position[1];
    load_shared(head_and_word, list_ + kCursor);
    load_shared(first_position, list_ + kCursor + 8);
    __syncwarp();  // lane 0 is going to move it
    list_planned(position + kReach, {head_and_word[0], head_and_word[1], first_position[0]});
  }

 private:
  /// Of the plan's words, counted from the last: the last visible tile of `word` of a head is that of `position`.
  struct Cursor {
    int head;
    int word;
    int position;
  };
  struct Range {
    int begin;
    int end;
  };

  __device__ __forceinline__ unsigned address(int position) const {
    return list_ + position % (2 * kHalf) * static_cast<unsigned>(kEntryBytes);
  }
  __device__ __forceinline__ unsigned turn_address(int position) const {
    return list_ + kTurns + position % (2 * kHalf) * 4u;
  }
  __device__ __forceinline__ void list(int position, int tile, int head, bool is_partial) const {
    store_shared(address(position), static_cast<unsigned>(2 * tile + (is_partial ? 1 : 0)),
                 static_cast<unsigned>(head));
    if constexpr (config::kDeterministic)
      store_shared(turn_address(position), turn_of(tile, work_.mask_head(arguments_, head)));
  }
  __device__ __forceinline__ void list_end(int position) const { store_shared(address(position), ~0u, 0u); }

  __device__ __forceinline__ int first_key() const { return work_.key_tile() * config::kTileK; }
  __device__ __forceinline__ int last_key() const { return min(first_key() + config::kTileK, arguments_.seqlen_k) - 1; }
  /// Where keys are missing at the end of the tile, they are hidden one by one.
  __device__ __forceinline__ bool is_cut() const { return first_key() + config::kTileK > arguments_.seqlen_k; }

  /// Lists half a list of positions from `first` on. Of all heads the same tiles: those with rows that see some key, as
  /// far as rows alone decide.
  __device__ __forceinline__ void list_range(int first) const {
    const RowMask row_mask(arguments_);
    const RowRange of_first = row_mask.rows_of_key(first_key());
    const RowRange of_last = row_mask.rows_of_key(last_key());
    const int last_row = arguments_.seqlen_q - 1;
    const Range tiles{of_first.first / config::kTileQ, min(of_last.last, last_row) / config::kTileQ + 1};
    // Without vectors, the tiles in which every row sees every key.
    const Range full{(of_last.first + config::kTileQ - 1) / config::kTileQ,
                     of_first.last >= last_row ? arguments_.row_tiles : (of_first.last + 1) / config::kTileQ};
    const int count = of_last.last < 0 || of_first.first > last_row ? 0 : max(tiles.end - tiles.begin, 0);
#pragma unroll 1
    for (int i = static_cast<int>(read_lane()); i < kHalf; i += 32) {
      const int head = count == 0 ? arguments_.heads_per_cta : (first + i) / count;
      if (head >= arguments_.heads_per_cta) {
        list_end(first + i);
        continue;
      }
      const int tile = tiles.end - 1 - ((first + i) - head * count);
      const bool is_full = ColumnMask::kVectors == 0 && !is_cut() && tile >= full.begin && tile < full.end;
      list(first + i, tile, head, !is_full);
    }
  }

  /// The same of the tiles that the plan finds visible.
  __device__ __forceinline__ void list_planned(int first, Cursor cursor) const {
    const int lane = static_cast<int>(read_lane());
    const unsigned lanes_below = read_lanes_below();
    const int end = first + kHalf;
    const long long row_words = (arguments_.row_tiles + 31) / 32;
    Cursor last = cursor;
#pragma unroll 1
    for (; cursor.head < arguments_.heads_per_cta && cursor.position < end; ++cursor.head, cursor.word = 0) {
      const long long slice =
          static_cast<long long>(work_.mask_head(arguments_, cursor.head)) * arguments_.key_tiles + work_.key_tile();
      const uint4 summary = load_global_16(arguments_.plan_summaries + slice);
      const int last_word = static_cast<int>(summary.y) / 32;
      const int words = static_cast<int>(summary.y) < 0 ? 0 : last_word - static_cast<int>(summary.x) / 32 + 1;
      const mask_plan::TileWord* classes = arguments_.plan_classes + slice * row_words + last_word;
#pragma unroll 1
      for (; cursor.position < end && cursor.word < words; cursor.word += 32) {
        uint2 mine = {0, 0};
        if (cursor.word + lane < words) mine = load_global_8(classes - (cursor.word + lane));
        unsigned lanes = __ballot_sync(0xffffffffu, (mine.x | mine.y) != 0);
#pragma unroll 1
        for (; lanes != 0 && cursor.position < end; lanes &= lanes - 1) {
          const int source = __ffs(static_cast<int>(lanes)) - 1;
          // Mirrored: bit 0 is that of the last tile.
          const unsigned partial = __brev(__shfl_sync(0xffffffffu, mine.x, source));
          const unsigned visible = partial | __brev(__shfl_sync(0xffffffffu, mine.y, source));
          const int own = cursor.position + __popc(visible & lanes_below);
          if ((visible >> lane & 1) != 0 && own >= first && own < end)
            list(own, (last_word - cursor.word - source) * 32 + 31 - lane, cursor.head,
                 (partial >> lane & 1) != 0 || is_cut());
          last = {cursor.head, cursor.word + source, cursor.position};
          cursor.position += __popc(visible);
        }
      }
      if (cursor.position >= end) break;
    }
    // Not before `first`: where the tiles end in the half before, others are reading that now.
    for (int rest = max(cursor.position, first) + lane; rest < end; rest += 32) list_end(rest);
    // The last word may hold more tiles than there was room for: the next filling looks at it again.
    if (lane == 0) {
      store_shared(list_ + kCursor, static_cast<unsigned>(last.head), static_cast<unsigned>(last.word));
      store_shared(list_ + kCursor + 8, static_cast<unsigned>(last.position));
    }
  }

  /// Deterministic: key tiles add to a tile of the query gradient in ascending order, so this one's turn is the number
  /// of visible ones before it.
  __device__ __forceinline__ unsigned turn_of(int row_tile, int mask_head) const {
    if (has_plan(arguments_)) {
      const int key_words = (arguments_.key_tiles + 31) / 32;
      const mask_plan::TileWord* words =
          arguments_.plan_row_words + (static_cast<long long>(mask_head) * arguments_.row_tiles + row_tile) * key_words;
      unsigned before = 0;
#pragma unroll 4
      for (int word = 0; word < work_.key_tile() / 32; ++word) {
        const uint2 classes = load_global_8(words + word);
        before += __popc(classes.x | classes.y);
      }
      const uint2 classes = load_global_8(words + work_.key_tile() / 32);
      return before + __popc((classes.x | classes.y) & low_bits(work_.key_tile() % 32));
    }
    return work_.key_tile() - RowMask(arguments_).keys_of_row(row_tile * config::kTileQ).first / config::kTileK;
  }

  const BackwardArguments& arguments_;
  const KeyTileWork& work_;
  unsigned list_;
};

}  // namespace flashmask
