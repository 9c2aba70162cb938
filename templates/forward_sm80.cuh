#pragma once

#include "config.cuh"
#include "forward_arguments.cuh"
#include "head_rows.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "online_softmax.cuh"
#include "primitives/thread.cuh"
#include "shared_tile.cuh"
#include "walk/tile_walk.cuh"
#include "work_order.cuh"

namespace flashmask {

// Forward attention with mma.sync, for sm_80 and up. A CTA owns kTileQ query rows of one head; each warp owns rows of
// its own, so softmax never leaves a warp. K and V tiles pass through one ring of shared-memory slots in the order in
// which they are multiplied (K0 V0 K1 V1 …): at every product the copies of the next kStages - 1 elements are under
// way.

namespace forward {

inline constexpr int kRowBlocks = config::kTileQ / (16 * config::kWarps);
inline constexpr int kKeyBlocks = config::kTileK / 8;
inline constexpr int kValueBlocks = config::kPaddedHeadDimV / 8;
inline constexpr int kVectors = ColumnMask::kVectors;

using QueryTile = SharedTile<config::kTileQ, config::kPaddedHeadDimQk>;
using KeyTile = SharedTile<config::kTileK, config::kPaddedHeadDimQk>;
using ValueTile = SharedTile<config::kTileK, config::kPaddedHeadDimV>;
using OutputTile = SharedTile<config::kTileQ, config::kPaddedHeadDimV>;
using Scores = AccumulatorTile<kRowBlocks, kKeyBlocks>;
using Output = AccumulatorTile<kRowBlocks, kValueBlocks>;

/// Shared memory: the query tile (later the output tile), the slots of the ring, the mask bounds of the key tiles in
/// it, the list of tiles to visit, the notes of the CTA.
struct Layout {
  static constexpr int kQuery = 0;
  static constexpr int kQueryBytes = QueryTile::kBytes > OutputTile::kBytes ? QueryTile::kBytes : OutputTile::kBytes;
  static constexpr int kRing = kQuery + kQueryBytes;
  static constexpr int kSlotBytes = KeyTile::kBytes > ValueTile::kBytes ? KeyTile::kBytes : ValueTile::kBytes;
  static constexpr int kBounds = kRing + config::kStages * kSlotBytes;
  static constexpr int kBoundsBytes = config::kTileK * kVectors * 4;
  static constexpr int kBoundsSlots = (config::kStages + 1) / 2;
  static constexpr int kWalk = kBounds + kBoundsSlots * kBoundsBytes;
  static constexpr int kNotes = kWalk + TileWalk::kSharedBytes;
  static constexpr int kBytes = kNotes + 32;
};
static_assert(Layout::kBytes == config::kSharedBytes, "the generator's resource model must know this layout");

/// The first row of this warp in its query tile.
__device__ __forceinline__ int first_row_of_warp() {
  return threadIdx.x / 32 * (16 * kRowBlocks);
}

/// What all threads need now and then in the loop, or after it: read from shared memory when that is, it occupies no
/// register meanwhile.
class Notes {
 public:
  __device__ __forceinline__ explicit Notes(unsigned shared) : address_(shared + Layout::kNotes) {}

  /// By all threads; they are readable behind the next barrier.
  __device__ __forceinline__ void write(const void* key, const void* value, const void* bounds, int first_tile_row,
                                        int head) const {
    if (threadIdx.x != 0) return;
    store_shared(address_, key);
    store_shared(address_ + 8, value);
    store_shared(address_ + 16, bounds);
    store_shared(address_ + 24, static_cast<unsigned>(first_tile_row), static_cast<unsigned>(head));
  }
  /// Row 0 of the head's keys, and of its values.
  __device__ __forceinline__ const void* key() const { return load_shared_pointer(address_); }
  __device__ __forceinline__ const void* value() const { return load_shared_pointer(address_ + 8); }
  /// Of key column 0, in the mask head of this head.
  __device__ __forceinline__ const int* bounds() const {
    return static_cast<const int*>(load_shared_pointer(address_ + 16));
  }
  __device__ __forceinline__ int first_tile_row() const {
    int row[1];
    load_shared(row, address_ + 24);
    return row[0];
  }
  /// Batch entry * num_heads_q + query head.
  __device__ __forceinline__ int head() const {
    int head[1];
    load_shared(head, address_ + 28);
    return head[0];
  }

 private:
  unsigned address_;
};

/// The same for the copies that start before anything is written down.
struct HeadRows {
  const void* key_rows;
  const void* value_rows;
  const int* column_bounds;

  __device__ __forceinline__ const void* key() const { return key_rows; }
  __device__ __forceinline__ const void* value() const { return value_rows; }
  __device__ __forceinline__ const int* bounds() const { return column_bounds; }
};

/// The ring of K and V tiles. Element 2 i is the key tile of position i of the walk (with its mask bounds, if elements
/// have to be tested), element 2 i + 1 its value tile; element e lies in slot e % kStages.
class KeyValueRing {
 public:
  __device__ __forceinline__ KeyValueRing(unsigned shared, const ForwardArguments& arguments)
      : shared_(shared), arguments_(arguments) {}

  /// Starts the copies of the first position's elements, as far as they are under way before the first product: its
  /// tile is known before the walk has its list.
  __device__ __forceinline__ void start(const VisitedTile& first, const HeadRows& rows) const {
    if (first.exists) copy<true>(first, 0, rows);
    commit_copies();
    if constexpr (config::kStages > 2) {
      if (first.exists) copy<false>(first, 0, rows);
      commit_copies();
    }
  }
  /// Starts the others.
  __device__ __forceinline__ void fill(const TileWalk& walk) const {
#pragma unroll
    for (int element = 2; element < config::kStages - 1; ++element) {
      if (element % 2 == 0) {
        request<true>(walk, element / 2);
      } else {
        request<false>(walk, element / 2);
      }
    }
  }

  /// Waits for the key (or value) tile of this position, lets every warp see it and fills the slot of the element
  /// before it: all warps are done with that one. Returns the tile's address.
  template <bool kIsKey>
  __device__ __forceinline__ unsigned acquire(const TileWalk& walk, int position) const {
    wait_copies<config::kStages - 2>();
    __syncthreads();
    constexpr int kAhead = (kIsKey ? 0 : 1) + config::kStages - 1;
    request<kAhead % 2 == 0>(walk, position + kAhead / 2);
    return slot_address<kIsKey>(position);
  }

  __device__ __forceinline__ unsigned bounds_address(int position) const {
    return shared_ + Layout::kBounds + position % Layout::kBoundsSlots * Layout::kBoundsBytes;
  }

 private:
  /// Copies an element of this position. Past the end only the (empty) group is committed, so that the number of groups
  /// tells which element has landed.
  template <bool kIsKey>
  __device__ __forceinline__ void request(const TileWalk& walk, int position) const {
    if (const VisitedTile tile = walk.at(position); tile.exists) copy<kIsKey>(tile, position, Notes(shared_));
    commit_copies();
  }

  /// `rows`: Notes or HeadRows.
  template <bool kIsKey, class Rows>
  __device__ __forceinline__ void copy(const VisitedTile& tile, int position, const Rows& rows) const {
    const int first_key = tile.number * config::kTileK;
    const unsigned destination = slot_address<kIsKey>(position);
    if constexpr (kIsKey) {
      RowCopy<KeyTile, config::kHeadDimQk>::start(KeyTile{destination}, rows.key(), row_bytes(arguments_.key_strides),
                                                  first_key, arguments_.seqlen_k);
      if constexpr (kVectors > 0)
        if (tile.is_partial) copy_bounds<kVectors * 4>(rows.bounds(), first_key, bounds_address(position));
    } else {
      RowCopy<ValueTile, config::kHeadDimV>::start(ValueTile{destination}, rows.value(),
                                                   row_bytes(arguments_.value_strides), first_key, arguments_.seqlen_k);
    }
  }

  template <int kColumnBytes>
  __device__ __forceinline__ void copy_bounds(const int* bounds, int first_key, unsigned destination) const {
    const int* source = bounds + static_cast<long long>(first_key) * kVectors;
#pragma unroll
    for (int first = 0; first < config::kTileK; first += config::kThreads) {
      const int column = first + static_cast<int>(threadIdx.x);
      if (config::kTileK % config::kThreads == 0 || column < config::kTileK)
        copy_small_async<kColumnBytes>(destination + column * kColumnBytes, source + column * kVectors,
                                       first_key + column < arguments_.seqlen_k ? kColumnBytes : 0);
    }
  }

  template <bool kIsKey>
  __device__ __forceinline__ unsigned slot_address(int position) const {
    const unsigned slot = (2u * position + (kIsKey ? 0 : 1)) % config::kStages;
    return shared_ + Layout::kRing + slot * Layout::kSlotBytes;
  }

  unsigned shared_;
  const ForwardArguments& arguments_;
};

/// The query rows as operands: held in registers, or read from shared memory at each use.
class Query {
 public:
  __device__ __forceinline__ Query(unsigned shared, int first_row)
      : cursor_({shared + Layout::kQuery + first_row * QueryTile::kChunks * 16}, lane() % 16, lane() / 16) {}

  /// Reads the operands into registers, once, when the tile has landed.
  __device__ __forceinline__ void hold() {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) read(held_[step], step);
  }
  __device__ __forceinline__ void operand(OperandA (&out)[kRowBlocks], int step) const {
    if constexpr (config::kQueryInRegisters) {
#pragma unroll
      for (int m = 0; m < kRowBlocks; ++m) out[m] = held_[step][m];
    } else {
      read(out, step);
    }
  }

 private:
  static constexpr int kSteps = config::kPaddedHeadDimQk / 16;
  static __device__ __forceinline__ int lane() { return threadIdx.x % 32; }
  __device__ __forceinline__ void read(OperandA (&out)[kRowBlocks], int step) const {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m) load_matrices(out[m].reg, cursor_.at(m, step));
  }

  MatrixCursor<QueryTile> cursor_;
  OperandA held_[config::kQueryInRegisters ? kSteps : 1][kRowBlocks];
};

/// scores = query * keys^T
__device__ __forceinline__ void multiply_transposed(Scores& scores, const Query& query, KeyTile keys) {
  const int lane = static_cast<int>(config::kRegistersAreShort ? read_lane() : threadIdx.x % 32);
  const MatrixCursor<KeyTile> cursor(keys, lane % 8 + lane / 16 * 8, lane / 8 % 2);
  scores.clear();
#pragma unroll
  for (int step = 0; step < config::kPaddedHeadDimQk / 16; ++step) {
    OperandA rows[kRowBlocks];
    query.operand(rows, step);
#pragma unroll
    for (int pair = 0; pair < kKeyBlocks / 2; ++pair) {
      unsigned keys_of_pair[4];
      load_matrices(keys_of_pair, cursor.at(pair, step));
#pragma unroll
      for (int m = 0; m < kRowBlocks; ++m) {
        multiply_accumulate(scores.block[m][2 * pair], rows[m], {keys_of_pair[0], keys_of_pair[1]});
        multiply_accumulate(scores.block[m][2 * pair + 1], rows[m], {keys_of_pair[2], keys_of_pair[3]});
      }
    }
  }
}

/// The scores after softmax, rounded to the element type: operands of the product with the values. Two neighbouring
/// accumulators are one operand, so nothing moves between lanes.
struct Probabilities {
  OperandA block[kRowBlocks][kKeyBlocks / 2];

  __device__ __forceinline__ explicit Probabilities(const Scores& scores) {
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int pair = 0; pair < kKeyBlocks / 2; ++pair) {
        const float(&left)[4] = scores.block[m][2 * pair].at;
        const float(&right)[4] = scores.block[m][2 * pair + 1].at;
        block[m][pair] = {
            {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]), pack(right[2], right[3])}};
      }
  }
};

/// output += probabilities * values
__device__ __forceinline__ void multiply_accumulate(Output& output, const Probabilities& probabilities,
                                                    ValueTile values) {
  const int lane = static_cast<int>(config::kRegistersAreShort ? read_lane() : threadIdx.x % 32);
  const MatrixCursor<ValueTile> cursor(values, lane % 16, lane / 16);
#pragma unroll
  for (int step = 0; step < config::kTileK / 16; ++step)
#pragma unroll
    for (int pair = 0; pair < kValueBlocks / 2; ++pair) {
      unsigned values_of_pair[4];
      load_matrices_transposed(values_of_pair, cursor.at(step, pair));
#pragma unroll
      for (int m = 0; m < kRowBlocks; ++m) {
        const OperandA& rows = probabilities.block[m][step];
        multiply_accumulate(output.block[m][2 * pair], rows, {values_of_pair[0], values_of_pair[1]});
        multiply_accumulate(output.block[m][2 * pair + 1], rows, {values_of_pair[2], values_of_pair[3]});
      }
    }
}

/// The mask of one warp's rows. Both ends of the keys of a row grow with the row.
struct Mask {
  RowMask row_mask;
  int first_warp_row;

  /// Whether all of a tile is hidden from all rows, as far as single intervals tell; the same answer in all lanes.
  __device__ __forceinline__ bool hides_tile(int first_key, unsigned bounds) const {
    // Rows alone hide no tile of the list when they hide nothing but what is beyond the keys.
    if (RowMask::kHasLast && first_key > row_mask.keys_of_row(last_warp_row()).last) return true;
    if (RowMask::kHasFirst && first_key + config::kTileK <= row_mask.keys_of_row(first_warp_row).first) return true;
    if constexpr (kVectors == 0) return false;
    bool hides = true;
#pragma unroll
    for (int column = static_cast<int>(read_lane()); column < config::kTileK; column += 32) {
      ColumnMask column_mask;
      column_mask.load(bounds + column * kVectors * 4);
      bool hides_column = false;
#pragma unroll
      for (int i = 0; i < ColumnMask::kIntervals; ++i)
        hides_column = hides_column || (first_warp_row >= column_mask.start(i) && last_warp_row() < column_mask.end(i));
      hides = hides && hides_column;
    }
    return __all_sync(0xffffffffu, hides);
  }

  /// Sets the masked scores to -infinity. What cuts none of the warp's rows is not tested element by element.
  __device__ __forceinline__ void apply(Scores& scores, int first_key, unsigned bounds) const {
    // A vote, though all lanes agree: after a mere branch ptxas 13.0 takes up to thirty registers more, and spills.
    if (__any_sync(0xffffffffu, rows_hide(first_key))) hide_by_row(scores, first_key + lane_column());
#pragma unroll 1
    for (int test = 0; test < ColumnMask::kTests; ++test)
      if (columns_hide(test, bounds)) hide_by_column(scores, test, bounds + lane_column() * kVectors * 4);
  }

 private:
  __device__ __forceinline__ int last_warp_row() const { return first_warp_row + 16 * kRowBlocks - 1; }

  /// Whether some key of the tile lies outside the keys of some row of the warp.
  __device__ __forceinline__ bool rows_hide(int first_key) const {
    return (RowMask::kHasFirst && first_key < row_mask.keys_of_row(last_warp_row()).first) ||
           first_key + config::kTileK - 1 > row_mask.keys_of_row(first_warp_row).last;
  }

  /// Whether an element test may hide some key of the tile from some row of the warp; the same answer in all lanes.
  __device__ __forceinline__ bool columns_hide(int test, unsigned bounds) const {
    bool hides = false;
#pragma unroll
    for (int column = threadIdx.x % 32; column < config::kTileK; column += 32)
      hides =
          hides || ColumnMask::test_hides_any(bounds + column * kVectors * 4, test, first_warp_row, last_warp_row());
    return __any_sync(0xffffffffu, hides);
  }

  static __device__ __forceinline__ int lane_column() { return static_cast<int>(read_lane() % 4 * 2); }
  __device__ __forceinline__ int lane_row() const { return first_warp_row + static_cast<int>(read_lane() / 4); }

  /// The diagonal, the window and the end of the sequence. One row at a time: its keys live in registers.
  __device__ __forceinline__ void hide_by_row(Scores& scores, int first_lane_key) const {
    const int first_lane_row = lane_row();
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const KeyRange keys = row_mask.keys_of_row(first_lane_row + 16 * m + 8 * half);
#pragma unroll
        for (int n = 0; n < kKeyBlocks; ++n)
#pragma unroll
          for (int right = 0; right < 2; ++right) {
            const int key = first_lane_key + 8 * n + right;
            if (key > keys.last || (RowMask::kHasFirst && key < keys.first))
              scores.block[m][n].at[2 * half + right] = -kInfinity;
          }
      }
  }

  /// An element test of the key columns. One column at a time: its bounds live in registers.
  __device__ __forceinline__ void hide_by_column(Scores& scores, int test, unsigned lane_bounds) const {
    const int first_lane_row = lane_row();
#pragma unroll
    for (int n = 0; n < kKeyBlocks; ++n) {
      const ColumnMask::Pair columns(lane_bounds + 8 * n * kVectors * 4, test);
#pragma unroll
      for (int right = 0; right < 2; ++right)
#pragma unroll
        for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
          for (int half = 0; half < 2; ++half)
            if (columns.hides(right, first_lane_row + 16 * m + 8 * half))
              scores.block[m][n].at[2 * half + right] = -kInfinity;
    }
  }
};

/// One step of the main loop.
struct Step {
  const RowMask& row_mask;
  const KeyValueRing& ring;
  const TileWalk& walk;
  const Query& query;
  unsigned shared;

  /// Attends to the keys and values at a position of the walk. Full tiles pass by the mask with one branch; a loop of
  /// their own would double the code and, at head dim 128, make ptxas spill. A warp from whose rows all of a tile is
  /// hidden only keeps step with the others.
  __device__ __forceinline__ void attend(int position, OnlineSoftmax<kRowBlocks>& softmax, Output& output) const {
    const KeyTile key_tile{ring.acquire<true>(walk, position)};
    if (walk.at(position).is_partial && hides_tile(position)) {
      acquire_values(position);
      return;
    }
    Scores scores;
    multiply_transposed(scores, query, key_tile);
    if (const VisitedTile tile = walk.at(position); tile.is_partial)
      mask().apply(scores, tile.number * config::kTileK, ring.bounds_address(position));
    ValueTile value_tile{};
    // Where registers allow it, nothing comes between softmax and product: ptxas then interleaves them.
    if constexpr (!config::kRegistersAreShort) value_tile = acquire_values(position);
    softmax.absorb(scores, output);
    const Probabilities probabilities(scores);
    if constexpr (config::kRegistersAreShort) {
      value_tile = acquire_values(position);
    }
    multiply_accumulate(output, probabilities, value_tile);
  }

 private:
  __device__ __forceinline__ ValueTile acquire_values(int position) const {
    const ValueTile values{ring.acquire<false>(walk, position)};
    walk.look_ahead(position);
    return values;
  }
  /// Made anew at each use, so that it occupies no register in between.
  __device__ __forceinline__ Mask mask() const {
    return {row_mask, Notes(shared).first_tile_row() + first_row_of_warp()};
  }
  __device__ __forceinline__ bool hides_tile(int position) const {
    return mask().hides_tile(walk.at(position).number * config::kTileK, ring.bounds_address(position));
  }
};

/// A row of tiles may have no step at all.
constexpr bool kRowsMaySeeNothing = RowMask::kHasFirst || RowMask::kHasLast || kVectors > 0;

/// Divides by the row sums, writes LSE and, by way of shared memory, whole rows of the output.
__device__ __forceinline__ void write_results(const ForwardArguments& arguments, const Output& output,
                                              const OnlineSoftmax<kRowBlocks>& softmax, unsigned shared) {
  const OutputTile tile{shared + Layout::kQuery};
  const int head = Notes(shared).head();
  const int first_tile_row = Notes(shared).first_tile_row();
  const int lane = threadIdx.x % 32;
  const int warp_row = first_row_of_warp();
  const int rows = arguments.seqlen_q - first_tile_row;
  float* lse = arguments.lse == nullptr
                   ? nullptr
                   : arguments.lse + static_cast<long long>(head) * arguments.seqlen_q + first_tile_row;
  // The output takes the place of the query tile. Behind the last barrier of the loop nobody looks at that; where there
  // was no step, its copy has just landed.
  if constexpr (kRowsMaySeeNothing) __syncthreads();
#pragma unroll
  for (int m = 0; m < kRowBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = warp_row + 16 * m + 8 * half + lane / 4;
      const auto total = softmax.total(m, half);
      if (lse != nullptr && lane % 4 == 0 && row < rows) lse[row] = total.lse;
#pragma unroll
      for (int n = 0; n < kValueBlocks; ++n) {
        const float(&at)[4] = output.block[m][n].at;
        store_shared(tile.address(row, n) + lane % 4 * 4,
                     pack(at[2 * half] * total.inverse, at[2 * half + 1] * total.inverse));
      }
    }
  __syncthreads();
  constexpr int kRowChunks = config::kHeadDimV / 8;  // padding stays here
  constexpr int kTotal = config::kTileQ * kRowChunks;
  const RowStrides strides = arguments.output_strides;
  char* destination = static_cast<char*>(arguments.output) +
                      2 * (head / arguments.num_heads_q * strides.batch + head % arguments.num_heads_q * strides.head +
                           first_tile_row * strides.seqlen);
#pragma unroll
  for (int first = 0; first < kTotal; first += config::kThreads) {
    const int index = first + static_cast<int>(threadIdx.x);
    const int row = index / kRowChunks;
    const int chunk = index % kRowChunks;
    if ((kTotal % config::kThreads == 0 || index < kTotal) && row < rows)
      *reinterpret_cast<uint4*>(destination + row * strides.seqlen * 2 + chunk * 16) =
          load_shared_16(tile.address(row, chunk));
  }
}

}  // namespace forward

__device__ __forceinline__ void forward_attention(const ForwardArguments& arguments) {
  using namespace forward;
  const WorkItem item =
      work_item({arguments.row_tiles, arguments.section_heads, arguments.batch * arguments.num_heads_q}, blockIdx.x);
  const int batch = item.head / arguments.num_heads_q;
  const int head = item.head % arguments.num_heads_q;
  const int head_kv = head / (arguments.num_heads_q / arguments.num_heads_kv);
  const int mask_head = batch * arguments.num_heads_mask + head / arguments.heads_per_mask_head;
  const RowMask row_mask(arguments);
  const RowOfTiles row = TileWalk::row_of_tiles(arguments, row_mask, item.rank, mask_head);
  const int first_tile_row = row.query_tile * config::kTileQ;

  const unsigned shared = dynamic_shared_memory();
  const HeadRows rows{head_rows(arguments.key, arguments.key_strides, batch, head_kv),
                      head_rows(arguments.value, arguments.value_strides, batch, head_kv),
                      arguments.row_intervals + static_cast<long long>(mask_head) * arguments.seqlen_k * kVectors};
  const KeyValueRing ring(shared, arguments);
  // The query tile lands with the first key tile's group; both are on their way while the walk is prepared.
  RowCopy<QueryTile, config::kHeadDimQk>::start(QueryTile{shared + Layout::kQuery},
                                                head_rows(arguments.query, arguments.query_strides, batch, head),
                                                row_bytes(arguments.query_strides), first_tile_row, arguments.seqlen_q);
  ring.start({row.first <= row.last, row.first, true}, rows);
  const TileWalk walk(arguments, row_mask, row, mask_head, shared + Layout::kWalk);
  Notes(shared).write(rows.key_rows, rows.value_rows, rows.column_bounds, first_tile_row, item.head);
  // The ring's filling reads the walk from the third element on; a query that is held waits for a barrier itself.
  if constexpr (config::kStages > 3 || !config::kQueryInRegisters) __syncthreads();

  Output output;
  output.clear();
  OnlineSoftmax<kRowBlocks> softmax(arguments.softmax_scale_log2);

  ring.fill(walk);
  Query query(shared, first_row_of_warp());
  if constexpr (config::kQueryInRegisters) {
    wait_copies<config::kStages - 2>();
    __syncthreads();
    query.hold();
  }

  const Step step{row_mask, ring, walk, query, shared};
#pragma unroll 1
  for (int position = 0; walk.at(position).exists; ++position) step.attend(position, softmax, output);
  // Rows that see no key leave the query tile's copy behind.
  if constexpr (kRowsMaySeeNothing && !config::kQueryInRegisters) wait_copies<config::kStages - 2>();

  write_results(arguments, output, softmax, shared);
}

}  // namespace flashmask
