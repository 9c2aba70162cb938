#pragma once

#include "accumulator_tile.cuh"
#include "backward_arguments.cuh"
#include "block_sums.cuh"
#include "config.cuh"
#include "head_rows.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "mask/visible_rows.cuh"
#include "primitives/math.cuh"
#include "primitives/thread.cuh"
#include "shared_tile.cuh"
#include "walk/row_tile_walk.cuh"
#include "work_order.cuh"

namespace flashmask {

// Backward attention with mma.sync, for sm_80 and up. A CTA owns kTileK keys of one key head, and with them rows of dK
// and dV, which stay in registers while the query tiles that see the keys stream by, those of all query heads that
// share the key head. Scores are computed transposed, keys by rows: P^T and dS^T then are operands of the products that
// make dV and dK without leaving the warp, and a key's mask is one word for all of a tile. Only dS goes through shared
// memory, to become dQ, which is summed up in global memory.
//
// Where head dims are wide, kColumnWarps warps share their keys: each computes the scores of some of the rows, all
// exchange P^T and dS^T through shared memory, and each makes some of the columns of dK and dV.

namespace backward {

inline constexpr bool kWarpsShareKeys = config::kColumnWarps > 1;
inline constexpr int kKeyBlocks = config::kTileK * config::kColumnWarps / (16 * config::kWarps);
inline constexpr int kPasses = config::kTileQ / (config::kColumnWarps * config::kPassRows);
inline constexpr int kRowBlocks = config::kPassRows / 8;  // of a pass
inline constexpr int kRowSteps = config::kPassRows / 16;
inline constexpr int kColumnPairsQk = config::kPaddedHeadDimQk / 16;
inline constexpr int kColumnPairsV = config::kPaddedHeadDimV / 16;
inline constexpr int kVectors = ColumnMask::kVectors;

using KeyTile = SharedTile<config::kTileK, config::kPaddedHeadDimQk>;
using ValueTile = SharedTile<config::kTileK, config::kPaddedHeadDimV>;
using QueryTile = SharedTile<config::kTileQ, config::kPaddedHeadDimQk>;
using OutputTile = SharedTile<config::kTileQ, config::kPaddedHeadDimV>;  // of dO
using ScoreTile = SharedTile<config::kTileK, config::kTileQ>;            // P^T or dS^T
using Scores = AccumulatorTile<kKeyBlocks, kRowBlocks>;

/// Column pairs of dK or dV that a warp makes.
constexpr __device__ __forceinline__ int pairs_of_warp(int pairs) {
  return (pairs + config::kColumnWarps - 1) / config::kColumnWarps;
}
using KeyGradient = AccumulatorTile<kKeyBlocks, 2 * pairs_of_warp(kColumnPairsQk)>;
using ValueGradient = AccumulatorTile<kKeyBlocks, 2 * pairs_of_warp(kColumnPairsV)>;

/// Shared memory: keys, values, the slots of the ring of query tiles, dS^T and, where warps share keys, P^T, the list
/// of tiles to visit, the work of the CTA, its ticket.
struct Layout {
  static constexpr int kKey = 0;
  static constexpr int kValue = kKey + KeyTile::kBytes;
  static constexpr int kRing = kValue + ValueTile::kBytes;
  // Of a slot:
  static constexpr int kOutput = QueryTile::kBytes;
  static constexpr int kTerms = kOutput + OutputTile::kBytes;
  static constexpr int kBounds = kTerms + config::kTileQ * static_cast<int>(sizeof(RowTerms));
  // To whole rows of banks: what swizzles flip in an address must be 0 where a tile begins.
  static constexpr int kSlotBytes = (kBounds + config::kTileK * kVectors * 4 + 127) / 128 * 128;

  static constexpr int kScoreGradient = kRing + config::kStages * kSlotBytes;
  static constexpr int kProbability = kScoreGradient + ScoreTile::kBytes;
  static constexpr int kWalk = kProbability + (kWarpsShareKeys ? ScoreTile::kBytes : 0);
  static constexpr int kWork = kWalk + RowTileWalk::kSharedBytes;
  static constexpr int kTicket = kWork + KeyTileWork::kSharedBytes;
  static constexpr int kBytes = kTicket + (config::kDeterministic ? 16 : 0);
};
static_assert(Layout::kBytes == config::kSharedBytes, "the generator's resource model must know this layout");

__device__ __forceinline__ int lane_number() {
  return static_cast<int>(config::kRegistersAreShort ? read_lane() : threadIdx.x % 32);
}
__device__ __forceinline__ int warp_number() {
  return static_cast<int>((config::kRegistersAreShort ? read_thread() : threadIdx.x) / 32);
}
/// The first key of this warp in its tile.
__device__ __forceinline__ int first_key_of_warp() {
  return warp_number() / config::kColumnWarps * (16 * kKeyBlocks);
}
/// Which of the warps that share their keys this one is.
__device__ __forceinline__ int column_warp() {
  return kWarpsShareKeys ? warp_number() % config::kColumnWarps : 0;
}

/// A part of a tile from a row on, a multiple of 8.
template <class Tile>
__device__ __forceinline__ Tile from_row(Tile tile, int row) {
  return {tile.base + row * Tile::kChunks * 16};
}

/// The rows of a tile as the first operand of products, 16 by 16 elements at a time.
template <class Tile>
__device__ __forceinline__ MatrixCursor<Tile> operand_rows(Tile tile) {
  const int lane = lane_number();
  return {tile, lane % 16, lane / 16};
}
/// The same of the transposed tile: `at(row_block, pair)` for load_matrices_transposed().
template <class Tile>
__device__ __forceinline__ MatrixCursor<Tile> transposed_operand_rows(Tile tile) {
  const int lane = lane_number();
  return {tile, lane % 8 + lane / 16 * 8, lane / 8 % 2};
}

/// result += keys * rows^T, the rows of both tiles being kColumns long. `keys` begins with the warp's, `rows` with the
/// pass'.
template <class Keys, class Rows>
__device__ __forceinline__ void multiply_by_transposed(Scores& result, Keys keys, Rows rows) {
  const auto key_cursor = operand_rows(keys);
  const auto row_cursor = transposed_operand_rows(rows);
#pragma unroll
  for (int step = 0; step < Keys::kChunks / 2; ++step) {
    OperandA of_keys[kKeyBlocks];
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m) load_matrices(of_keys[m].reg, key_cursor.at(m, step));
#pragma unroll
    for (int pair = 0; pair < kRowSteps; ++pair) {
      unsigned of_rows[4];
      load_matrices(of_rows, row_cursor.at(pair, step));
#pragma unroll
      for (int m = 0; m < kKeyBlocks; ++m) {
        multiply_accumulate(result.block[m][2 * pair], of_keys[m], {of_rows[0], of_rows[1]});
        multiply_accumulate(result.block[m][2 * pair + 1], of_keys[m], {of_rows[2], of_rows[3]});
      }
    }
  }
}

/// Scores rounded to the element type, as operands: two neighbouring accumulators are one, so nothing moves between
/// lanes.
struct ScoreOperands {
  OperandA block[kKeyBlocks][kRowSteps];

  __device__ __forceinline__ explicit ScoreOperands(const Scores& scores) {
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m)
#pragma unroll
      for (int step = 0; step < kRowSteps; ++step) {
        const float(&left)[4] = scores.block[m][2 * step].at;
        const float(&right)[4] = scores.block[m][2 * step + 1].at;
        block[m][step] = {
            {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]), pack(right[2], right[3])}};
      }
  }

  /// Writes them to the warp's rows of a tile, columns from `first_row` on.
  __device__ __forceinline__ void store(ScoreTile tile, int first_row) const {
    const int lane = lane_number();
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m)
#pragma unroll
      for (int step = 0; step < kRowSteps; ++step)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = first_key_of_warp() + 16 * m + i % 2 * 8 + lane / 4;
          store_shared(tile.address(key, first_row / 8 + 2 * step + i / 2) + lane % 4 * 4, block[m][step].reg[i]);
        }
  }
};

/// gradient += scores * rows, of the columns that this warp makes: the pairs from `first_pair` on. `operand(m, step)`
/// gives 16 keys by 16 rows.
template <int kSteps, int kPairs, class Gradient, class Rows, class Operand>
__device__ __forceinline__ void multiply_rows(Gradient& gradient, Rows rows, int first_pair, const Operand& operand) {
  constexpr int kOwnPairs = pairs_of_warp(kPairs);
  const PartCursor<Rows, kWarpsShareKeys ? kOwnPairs : Rows::kChunks / 2> cursor(operand_rows(rows), first_pair);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    OperandA scores[kKeyBlocks];
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m) scores[m] = operand(m, step);
#pragma unroll
    for (int pair = 0; pair < kOwnPairs; ++pair) {
      if (kWarpsShareKeys && first_pair + pair >= kPairs) break;
      unsigned of_rows[4];
      load_matrices_transposed(of_rows, cursor.at(step, pair));
#pragma unroll
      for (int m = 0; m < kKeyBlocks; ++m) {
        multiply_accumulate(gradient.block[m][2 * pair], scores[m], {of_rows[0], of_rows[1]});
        multiply_accumulate(gradient.block[m][2 * pair + 1], scores[m], {of_rows[2], of_rows[3]});
      }
    }
  }
}

/// The ring of query tiles with their dO, row terms and, of partial tiles, the bounds of the key columns in the mask of
/// their head. Position p of the walk lies in slot p % kStages.
class QueryRing {
 public:
  __device__ __forceinline__ QueryRing(unsigned shared, const BackwardArguments& arguments, const KeyTileWork& work)
      : shared_(shared), arguments_(arguments), work_(work) {}

  /// Starts the copies of a position. Past the end only the (empty) group is committed, so that the number of groups
  /// tells which position has landed.
  __device__ __forceinline__ void request(const RowTileWalk& walk, int position) const {
    if (const VisitedRows rows = walk.at(position); rows.exists) copy(rows, slot(position));
    commit_copies();
  }

  __device__ __forceinline__ QueryTile query(int position) const { return {slot(position)}; }
  __device__ __forceinline__ OutputTile output_gradient(int position) const {
    return {slot(position) + Layout::kOutput};
  }
  /// Of the tile's rows, kTileQ RowTerms.
  __device__ __forceinline__ unsigned terms(int position) const { return slot(position) + Layout::kTerms; }
  __device__ __forceinline__ unsigned bounds(int position) const { return slot(position) + Layout::kBounds; }

 private:
  __device__ __forceinline__ unsigned slot(int position) const {
    return shared_ + Layout::kRing + static_cast<unsigned>(position) % config::kStages * Layout::kSlotBytes;
  }

  __device__ __forceinline__ void copy(const VisitedRows& rows, unsigned slot) const {
    const int head = work_.first_head() + rows.head;
    const int first_row = rows.tile * config::kTileQ;
    RowCopy<QueryTile, config::kHeadDimQk>::start(
        QueryTile{slot}, head_rows(arguments_.query, arguments_.query_strides, work_.batch(), head),
        row_bytes(arguments_.query_strides), first_row, arguments_.seqlen_q);
    RowCopy<OutputTile, config::kHeadDimV>::start(
        OutputTile{slot + Layout::kOutput},
        head_rows(arguments_.output_gradient, arguments_.output_gradient_strides, work_.batch(), head),
        row_bytes(arguments_.output_gradient_strides), first_row, arguments_.seqlen_q);
    copy_terms(arguments_.row_terms +
                   (static_cast<long long>(work_.batch()) * arguments_.num_heads_q + head) * arguments_.row_tiles *
                       config::kTileQ +
                   first_row,
               slot + Layout::kTerms);
    if constexpr (kVectors > 0)
      if (rows.is_partial) copy_bounds<kVectors * 4>(work_.mask_head(arguments_, rows.head), slot + Layout::kBounds);
  }

  static __device__ __forceinline__ void copy_terms(const RowTerms* terms, unsigned destination) {
    constexpr int kRowsOfCopy = 16 / static_cast<int>(sizeof(RowTerms));
#pragma unroll
    for (int first = 0; first < config::kTileQ / kRowsOfCopy; first += config::kThreads) {
      const int part = first + static_cast<int>(read_thread());
      if (part < config::kTileQ / kRowsOfCopy) copy_16_async(destination + 16 * part, terms + kRowsOfCopy * part, 16);
    }
  }

  template <int kColumnBytes>
  __device__ __forceinline__ void copy_bounds(int mask_head, unsigned destination) const {
    const int first_key = work_.key_tile() * config::kTileK;
    const int* source =
        arguments_.row_intervals + (static_cast<long long>(mask_head) * arguments_.seqlen_k + first_key) * kVectors;
#pragma unroll
    for (int first = 0; first < config::kTileK; first += config::kThreads) {
      const int column = first + static_cast<int>(read_thread());
      if (config::kTileK % config::kThreads == 0 || column < config::kTileK)
        copy_small_async<kColumnBytes>(destination + column * kColumnBytes, source + column * kVectors,
                                       first_key + column < arguments_.seqlen_k ? kColumnBytes : 0);
    }
  }

  unsigned shared_;
  const BackwardArguments& arguments_;
  const KeyTileWork& work_;
};

/// The mask of the warp's keys in a query tile. What rows see a key is found out anew at each use, so that it occupies
/// no register while products are made.
struct Mask {
  RowMask row_mask;
  unsigned bounds;
  int first_tile_key;
  int first_tile_row;

  /// Whether some row of a pass, from `first_row` of the tile on, sees a key of the warp; the same answer in all lanes.
  __device__ __forceinline__ bool leaves_some(int first_row) const {
    unsigned some = 0;
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m) some |= rows_of(m, 0, first_row) | rows_of(m, 1, first_row);
    return __any_sync(0xffffffffu, some != 0);
  }

  /// Sets the masked scores of a pass to -infinity.
  __device__ __forceinline__ void apply(Scores& scores, int first_row) const {
#pragma unroll
    for (int m = 0; m < kKeyBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const unsigned rows = rows_of(m, half, first_row);
#pragma unroll
        for (int n = 0; n < kRowBlocks; ++n)
#pragma unroll
          for (int right = 0; right < 2; ++right)
            if ((rows >> (2 * n + right) & 1) == 0) scores.block[m][n].at[2 * half + right] = -kInfinity;
      }
  }

 private:
  /// Of the lane's rows of a pass, those that see key lane / 4 (+ 8) of a block.
  __device__ __forceinline__ unsigned rows_of(int m, int half, int first_row) const {
    const int lane = lane_number();
    const int key = first_key_of_warp() + 16 * m + 8 * half + lane / 4;
    ColumnMask column;
    column.load(bounds + key * kVectors * 4);
    return visible_rows<config::kPassRows>(row_mask, column, first_tile_key + key, first_tile_row + first_row, lane);
  }
};

/// How the warps share a tile of dQ: row warps times column warps, each with some blocks of 16 rows and some pairs of
/// columns.
constexpr __device__ int query_pairs(int row_warps) {
  return (kColumnPairsQk * row_warps + config::kWarps - 1) / config::kWarps;
}
/// Of the ways in which no warp has more to multiply than another must, the one with the least operands to read.
constexpr __device__ int best_row_warps() {
  constexpr int kTileBlocks = config::kTileQ / 16;
  int best = 1, best_work = 1 << 30, best_reads = 0;
  for (int row_warps = 1; row_warps <= config::kWarps; row_warps *= 2) {
    if (kTileBlocks % row_warps != 0 || config::kWarps % row_warps != 0) continue;
    const int blocks = kTileBlocks / row_warps;
    const int work = blocks * query_pairs(row_warps);
    const int reads = blocks + query_pairs(row_warps);
    if (work > best_work || (work == best_work && reads >= best_reads)) continue;
    best = row_warps;
    best_work = work;
    best_reads = reads;
  }
  return best;
}
struct QuerySplit {
  static constexpr int kRowWarps = best_row_warps();
  static constexpr int kBlocks = config::kTileQ / 16 / kRowWarps;
  static constexpr int kPairs = query_pairs(kRowWarps);
  static constexpr bool kIsEven = kPairs * config::kWarps / kRowWarps == kColumnPairsQk;
};

/// One step of the main loop.
struct Step {
  const BackwardArguments& arguments;
  const QueryRing& ring;
  const RowTileWalk& walk;
  const KeyTileWork& work;
  unsigned shared;

  /// Adds what the query tile at a position of the walk brings.
  __device__ __forceinline__ void absorb(int position, KeyGradient& key_gradient, ValueGradient& value_gradient) const {
    wait_copies<config::kStages - 2>();
    // All warps see the tile, and none is still at the one before: its slot may be filled again, and dS overwritten.
    __syncthreads();
    if (position > 0) pass_turn_on(position - 1);
    ring.request(walk, position + config::kStages - 1);
    differentiate_scores(position, key_gradient, value_gradient);
    if constexpr (kWarpsShareKeys) {
      // Of P^T and dS^T of its keys a warp needs what its partner has: no other warp is waited for.
      synchronize_threads(1 + warp_number() / config::kColumnWarps, 32 * config::kColumnWarps);
      multiply_exchanged(position, key_gradient, value_gradient);
    }
    __syncthreads();
    add_query_gradient(position);
    walk.look_ahead(position);
  }

  /// Deterministic: the next key tile may add to what this one added to at a position. By all threads, behind a
  /// barrier.
  __device__ __forceinline__ void pass_turn_on(int position) const {
    if constexpr (config::kDeterministic)
      if (threadIdx.x == 0) reduce_add_release(turns_of(walk.at(position)), 1);
  }

 private:
  __device__ __forceinline__ KeyTile keys() const {
    return from_row(KeyTile{shared + Layout::kKey}, first_key_of_warp());
  }
  __device__ __forceinline__ ValueTile values() const {
    return from_row(ValueTile{shared + Layout::kValue}, first_key_of_warp());
  }
  __device__ __forceinline__ ScoreTile score_gradient() const { return {shared + Layout::kScoreGradient}; }
  __device__ __forceinline__ ScoreTile probability() const { return {shared + Layout::kProbability}; }

  __device__ __forceinline__ Mask mask(int position) const {
    return {RowMask(arguments), ring.bounds(position), work.key_tile() * config::kTileK,
            walk.at(position).tile * config::kTileQ};
  }

  /// P^T and dS^T of the warp's keys and rows, pass by pass; and, where keys are not shared, dV and dK.
  __device__ __forceinline__ void differentiate_scores(int position, KeyGradient& key_gradient,
                                                       ValueGradient& value_gradient) const {
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int first_row = (column_warp() * kPasses + pass) * config::kPassRows;
      if (walk.at(position).is_partial && !mask(position).leaves_some(first_row)) {
        store_nothing(first_row);
        continue;
      }
      const QueryTile query = from_row(ring.query(position), first_row);
      const OutputTile output_gradient = from_row(ring.output_gradient(position), first_row);
      Scores scores;
      scores.clear();
      multiply_by_transposed(scores, keys(), query);
      if (walk.at(position).is_partial) mask(position).apply(scores, first_row);
      Scores gradient;
      gradient.clear();
      multiply_by_transposed(gradient, values(), output_gradient);
      differentiate(scores, gradient, ring.terms(position) + first_row * static_cast<int>(sizeof(RowTerms)));
      const ScoreOperands probabilities(scores);
      const ScoreOperands gradients(gradient);
      gradients.store(score_gradient(), first_row);
      if constexpr (kWarpsShareKeys) {
        probabilities.store(probability(), first_row);
      } else {
        multiply_rows<kRowSteps, kColumnPairsV>(value_gradient, output_gradient, 0,
                                                [&](int m, int step) { return probabilities.block[m][step]; });
        multiply_rows<kRowSteps, kColumnPairsQk>(key_gradient, query, 0,
                                                 [&](int m, int step) { return gradients.block[m][step]; });
      }
    }
  }

  /// Turns scores into P and dP into dS / scale.
  __device__ __forceinline__ void differentiate(Scores& scores, Scores& gradient, unsigned terms) const {
    const unsigned lane_terms = terms + lane_number() % 4 * 2 * static_cast<int>(sizeof(RowTerms));
#pragma unroll
    for (int n = 0; n < kRowBlocks; ++n) {
      float of_rows[4];  // shift and delta of two neighbouring rows
      load_shared(of_rows, lane_terms + 8 * n * static_cast<int>(sizeof(RowTerms)));
#pragma unroll
      for (int m = 0; m < kKeyBlocks; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          // P is never above 1; where huge scores lose their last bits, it stays there.
          float& p = scores.block[m][n].at[i];
          p = exp2_approx(fminf(__fmaf_rn(p, arguments.softmax_scale_log2, -of_rows[i % 2 * 2]), 0.0f));
          float& ds = gradient.block[m][n].at[i];
          ds = p * (ds - of_rows[i % 2 * 2 + 1]);
        }
    }
  }

  /// Of a pass in which no row sees a key of the warp: the other warps read its part of dS all the same.
  __device__ __forceinline__ void store_nothing(int first_row) const {
    Scores nothing;
    nothing.clear();
    const ScoreOperands zeros(nothing);
    zeros.store(score_gradient(), first_row);
    if constexpr (kWarpsShareKeys) zeros.store(probability(), first_row);
  }

  /// dV += P^T dO and dK += dS^T Q of the warp's keys, all rows and its columns.
  __device__ __forceinline__ void multiply_exchanged(int position, KeyGradient& key_gradient,
                                                     ValueGradient& value_gradient) const {
    multiply_exchanged<kColumnPairsV>(value_gradient, probability(), ring.output_gradient(position));
    multiply_exchanged<kColumnPairsQk>(key_gradient, score_gradient(), ring.query(position));
  }
  template <int kPairs, class Gradient, class Rows>
  __device__ __forceinline__ void multiply_exchanged(Gradient& gradient, ScoreTile scores, Rows rows) const {
    const auto cursor = operand_rows(from_row(scores, first_key_of_warp()));
    multiply_rows<config::kTileQ / 16, kPairs>(gradient, rows, column_warp() * pairs_of_warp(kPairs),
                                               [&](int m, int step) {
                                                 OperandA operand;
                                                 load_matrices(operand.reg, cursor.at(m, step));
                                                 return operand;
                                               });
  }

  __device__ __forceinline__ long long row_tile_of(const VisitedRows& rows) const {
    return (static_cast<long long>(work.batch()) * arguments.num_heads_q + work.first_head() + rows.head) *
               arguments.row_tiles +
           rows.tile;
  }
  __device__ __forceinline__ unsigned* turns_of(const VisitedRows& rows) const {
    return arguments.turns + row_tile_of(rows);
  }

  /// dQ += dS K
  __device__ __forceinline__ void add_query_gradient(int position) const {
    using Split = QuerySplit;
    const int row_block = warp_number() % Split::kRowWarps * Split::kBlocks;
    const int first_pair = warp_number() / Split::kRowWarps * Split::kPairs;
    const PartCursor<ScoreTile, Split::kBlocks> score_cursor(transposed_operand_rows(score_gradient()), row_block);
    const PartCursor<KeyTile, Split::kPairs> key_cursor(operand_rows(KeyTile{shared + Layout::kKey}), first_pair);
    AccumulatorTile<Split::kBlocks, 2 * Split::kPairs> sum;
    sum.clear();
#pragma unroll
    for (int step = 0; step < config::kTileK / 16; ++step) {
      OperandA scores[Split::kBlocks];
#pragma unroll
      for (int m = 0; m < Split::kBlocks; ++m) load_matrices_transposed(scores[m].reg, score_cursor.at(step, m));
#pragma unroll
      for (int pair = 0; pair < Split::kPairs; ++pair) {
        if (!Split::kIsEven && first_pair + pair >= kColumnPairsQk) break;
        unsigned of_keys[4];
        load_matrices_transposed(of_keys, key_cursor.at(step, pair));
#pragma unroll
        for (int m = 0; m < Split::kBlocks; ++m) {
          multiply_accumulate(sum.block[m][2 * pair], scores[m], {of_keys[0], of_keys[1]});
          multiply_accumulate(sum.block[m][2 * pair + 1], scores[m], {of_keys[2], of_keys[3]});
        }
      }
    }
    const VisitedRows rows = walk.at(position);
    if constexpr (config::kDeterministic) wait_for_turn(turns_of(rows), walk.turn(position));
    const BlockSums<config::kPaddedHeadDimQk> sums(
        arguments.query_sums + row_tile_of(rows) * (config::kTileQ * config::kPaddedHeadDimQk), lane_number());
#pragma unroll
    for (int m = 0; m < Split::kBlocks; ++m)
#pragma unroll
      for (int n = 0; n < 2 * Split::kPairs; ++n) {
        if (!Split::kIsEven && first_pair + n / 2 >= kColumnPairsQk) break;
        sums.add(row_block + m, 2 * first_pair + n, sum.block[m][n]);
      }
  }

  /// Turns go by key tiles, and these by tickets within a head: whoever goes first started before this CTA and waits,
  /// if at all, for those that started before itself. So the turn comes.
  static __device__ __forceinline__ void wait_for_turn(const unsigned* turns, unsigned turn) {
    if (read_lane() == 0)
      while (load_acquire(turns) != turn) {
      }
    __syncwarp();
  }
};

/// Writes the warp's rows of dK or dV: to the tensor, or, where a group of query heads is split, to the sums of this
/// part.
template <int kPairs, class Gradient>
__device__ __forceinline__ void write_gradient(const Gradient& gradient, const RowsOut& rows, float* sums, int width,
                                               float scale) {
  const int lane = lane_number();
  const int first_pair = column_warp() * pairs_of_warp(kPairs);
#pragma unroll
  for (int m = 0; m < kKeyBlocks; ++m) {
    const int first_key = first_key_of_warp() + 16 * m;
#pragma unroll
    for (int pair = 0; pair < pairs_of_warp(kPairs); ++pair) {
      if (kWarpsShareKeys && first_pair + pair >= kPairs) break;
      const Accumulator& left = gradient.block[m][2 * pair];
      const Accumulator& right = gradient.block[m][2 * pair + 1];
      const int of_pair = first_pair + pair;
      if (sums == nullptr) {
        rows.store(first_key, 16 * of_pair, width, left, right, scale, lane);
      } else {
        const BlockSums<16 * kPairs> part(sums, lane);
        part.store(first_key / 16, 2 * of_pair, left);
        part.store(first_key / 16, 2 * of_pair + 1, right);
      }
    }
  }
}

/// The number of this CTA in the order of work. Deterministic: in the order in which CTAs really start.
__device__ __forceinline__ unsigned work_number(const BackwardArguments& arguments, unsigned shared) {
  if constexpr (!config::kDeterministic) return blockIdx.x;
  if (threadIdx.x == 0) store_shared(shared + Layout::kTicket, atomicAdd(arguments.tickets, 1u));
  __syncthreads();
  int ticket[1];
  load_shared(ticket, shared + Layout::kTicket);
  return static_cast<unsigned>(ticket[0]);
}

/// A key tile may have no step at all; the copies of its keys and values then are still under way behind the loop.
constexpr bool kKeysMayBeUnseen = RowMask::kHasFirst || RowMask::kHasLast || kVectors > 0;

/// Which key tile, of which head, a piece of work is.
__device__ __forceinline__ void write_work(const BackwardArguments& arguments, const WorkItem& item,
                                           const KeyTileWork& work) {
  const int part = item.head % arguments.splits;
  const int head_kv = item.head / arguments.splits % arguments.num_heads_kv;
  const int batch = item.head / arguments.splits / arguments.num_heads_kv;
  const int first_head = (head_kv * arguments.splits + part) * arguments.heads_per_cta;
  int key_tile = item.rank;
  // Turns are taken in ascending order. Otherwise the first head's longest come first.
  if (!config::kDeterministic && RowTileWalk::has_plan(arguments)) {
    const int mask_head = mask_head_of(arguments, batch, first_head);
    key_tile = static_cast<int>(
        load_global_16(arguments.plan_work + static_cast<long long>(mask_head) * arguments.key_tiles + item.rank).x);
  }
  work.write(batch, first_head, key_tile, part);
}

/// The end of a CTA: dK and dV.
__device__ __forceinline__ void write_gradients(const BackwardArguments& arguments, const KeyTileWork& work,
                                                const KeyGradient& key_gradient, const ValueGradient& value_gradient) {
  const int batch = work.batch();
  const int head_kv = work.head_kv(arguments);
  const int first_key = work.key_tile() * config::kTileK;
  const long long tile_of_part =
      ((static_cast<long long>(work.part()) * arguments.batch + batch) * arguments.num_heads_kv + head_kv) *
          arguments.key_tiles +
      work.key_tile();
  const auto rows_of = [&](void* data, const RowStrides& strides) {
    return rows_out(data, strides, batch, head_kv, first_key, arguments.seqlen_k);
  };
  const auto sums_of = [&](float* sums, int width) {
    return sums == nullptr ? nullptr : sums + tile_of_part * (config::kTileK * width);
  };
  write_gradient<kColumnPairsQk>(key_gradient, rows_of(arguments.key_gradient, arguments.key_gradient_strides),
                                 sums_of(arguments.key_sums, config::kPaddedHeadDimQk), config::kHeadDimQk,
                                 arguments.softmax_scale);
  write_gradient<kColumnPairsV>(value_gradient, rows_of(arguments.value_gradient, arguments.value_gradient_strides),
                                sums_of(arguments.value_sums, config::kPaddedHeadDimV), config::kHeadDimV, 1.0f);
}

}  // namespace backward

/// dK, dV, and the sums of dQ. Grid: key tiles x key heads x parts of their groups x batch.
__device__ __forceinline__ void backward_attention(const BackwardArguments& arguments) {
  using namespace backward;
  const unsigned shared = dynamic_shared_memory();
  const WorkItem item = work_item(
      {arguments.key_tiles, arguments.section_heads, arguments.batch * arguments.num_heads_kv * arguments.splits},
      work_number(arguments, shared));
  const KeyTileWork work(shared + Layout::kWork);
  write_work(arguments, item, work);
  __syncthreads();
  const int head_kv = work.head_kv(arguments);
  const int first_key = work.key_tile() * config::kTileK;
  RowCopy<KeyTile, config::kHeadDimQk>::start(KeyTile{shared + Layout::kKey},
                                              head_rows(arguments.key, arguments.key_strides, work.batch(), head_kv),
                                              row_bytes(arguments.key_strides), first_key, arguments.seqlen_k);
  RowCopy<ValueTile, config::kHeadDimV>::start(
      ValueTile{shared + Layout::kValue}, head_rows(arguments.value, arguments.value_strides, work.batch(), head_kv),
      row_bytes(arguments.value_strides), first_key, arguments.seqlen_k);
  const RowTileWalk walk(arguments, work, shared + Layout::kWalk);
  const QueryRing ring(shared, arguments, work);
  __syncthreads();
#pragma unroll
  for (int position = 0; position < config::kStages - 1; ++position) ring.request(walk, position);

  KeyGradient key_gradient;
  ValueGradient value_gradient;
  key_gradient.clear();
  value_gradient.clear();
  const Step step{arguments, ring, walk, work, shared};
  int position = 0;
#pragma unroll 1
  for (; walk.at(position).exists; ++position) step.absorb(position, key_gradient, value_gradient);
  if constexpr (config::kDeterministic) {
    __syncthreads();
    if (position > 0) step.pass_turn_on(position - 1);
  }
  if constexpr (kKeysMayBeUnseen) wait_copies<config::kStages - 2>();

  write_gradients(arguments, work, key_gradient, value_gradient);
}

}  // namespace flashmask
