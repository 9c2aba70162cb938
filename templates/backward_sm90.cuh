#pragma once

#include "backward_sm90_arguments.cuh"
#include "block_sums.cuh"
#include "config.cuh"
#include "head_rows.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "mask/visible_rows.cuh"
#include "panel_tile.cuh"
#include "primitives/math.cuh"
#include "primitives/mbarrier.cuh"
#include "primitives/register_budget.cuh"
#include "primitives/tensor_copy.cuh"
#include "primitives/thread.cuh"
#include "primitives/wgmma.cuh"
#include "slot_ring.cuh"
#include "walk/row_tiles.cuh"
#include "work_order.cuh"

namespace flashmask {

// The main backward kernel with wgmma, for sm_90a. A CTA stays on its SM and takes one key tile after the other, with
// all query heads that share its key head. Its first warpgroup produces: one warp of it walks the query tiles and has
// tensor copies bring K and V once, Q, dO and the terms of their rows in rings of slots. Two warpgroups consume. Scores
// are held transposed, keys x rows: a thread has two keys for as long as the key tile lasts, so a mask is a word of
// bits for each; and P^T and dS^T are, where they are, operands of dV += P^T dO and dK += dS^T Q.
//
// Up to 128 columns each warpgroup has 64 keys of its own, and only dS passes through shared memory, for dQ = dS K.
// Beyond, dK and dV of 64 keys are more than a warpgroup can hold: both share the keys (kColumnWarps = 2), each with
// half of the rows of the scores and half of the columns of dK and dV, and exchange P^T as well.

namespace backward {

inline constexpr bool kSharesKeys = config::kColumnWarps > 1;
inline constexpr int kScoreRows = kSharesKeys ? config::kTileQ / 2 : config::kTileQ;  // of a warpgroup
inline constexpr int kScoreBlocks = kScoreRows / 8;

/// The columns of a product that two warpgroups share. The first has `kOwn`, the second the rest; both multiply
/// `kWidth`, whole panels unless all is one panel, of which a few may be the other's.
template <int kColumns>
struct SharedColumns {
  static constexpr int kPanel = PanelTile<8, kColumns>::kPanelColumns;
  static constexpr int kOwn = (kColumns / 16 + 1) / 2 * 16;
  static constexpr int kWidth = kPanel % kOwn == 0 ? kOwn : (kOwn + kPanel - 1) / kPanel * kPanel;
  static constexpr bool kOverlap = 2 * kWidth > kColumns;

  static __device__ __forceinline__ int first(int warpgroup) { return warpgroup * (kColumns - kWidth); }
  /// The columns of its own, within those that it multiplies.
  static __device__ __forceinline__ int first_own(int warpgroup) { return warpgroup * (kOwn - (kColumns - kWidth)); }
  static __device__ __forceinline__ int end_own(int warpgroup) { return warpgroup == 0 ? kOwn : kWidth; }
};
using ColumnsQk = SharedColumns<config::kPaddedHeadDimQk>;
using ColumnsV = SharedColumns<config::kPaddedHeadDimV>;

// dQ: the warpgroups share the rows where there are 128 of them, else the columns.
inline constexpr bool kSharesQueryColumns = config::kTileQ == 64;
inline constexpr int kQueryWidth = kSharesQueryColumns ? ColumnsQk::kWidth : config::kPaddedHeadDimQk;
inline constexpr int kKeyWidth = kSharesKeys ? ColumnsQk::kWidth : config::kPaddedHeadDimQk;
inline constexpr int kValueWidth = kSharesKeys ? ColumnsV::kWidth : config::kPaddedHeadDimV;

using QueryTile = PanelTile<config::kTileQ, config::kPaddedHeadDimQk>;
using OutputTile = PanelTile<config::kTileQ, config::kPaddedHeadDimV>;
using KeyTile = PanelTile<config::kTileK, config::kPaddedHeadDimQk>;
using ValueTile = PanelTile<config::kTileK, config::kPaddedHeadDimV>;
using ScoreTile = PanelTile<config::kTileK, config::kTileQ>;  // of P^T or dS^T
using Scores = AccumulatorTile<1, kScoreBlocks>;
using ScoreOperands = OperandA[kScoreRows / 16];
using QueryGradient = AccumulatorTile<1, kQueryWidth / 8>;
using KeyGradient = AccumulatorTile<1, kKeyWidth / 8>;
using ValueGradient = AccumulatorTile<1, kValueWidth / 8>;

/// Shared memory: keys and values, the slots of Q and dO, exchanged scores, sums of dQ on their way, the terms of rows,
/// what the producer says, the mbarriers.
struct Layout {
  // Two, so that a warpgroup may write the next scores while the other still multiplies with these.
  static constexpr int kScoreSlots = 2;
  static constexpr int kScoreTiles = kScoreSlots * (kSharesKeys ? 2 : 1);
  static constexpr int kSumsBytes = config::kStagesSums ? config::kTileQ * config::kPaddedHeadDimQk * 4 : 0;
  static constexpr int kTermsBytes = config::kTileQ * static_cast<int>(sizeof(RowTerms));

  static constexpr int kKey = 0;
  static constexpr int kValue = kKey + KeyTile::kBytes;
  static constexpr int kQuery = kValue + ValueTile::kBytes;
  static constexpr int kOutputGradient = kQuery + config::kStages * QueryTile::kBytes;
  static constexpr int kScores = kOutputGradient + config::kStages * OutputTile::kBytes;
  static constexpr int kSums = kScores + kScoreTiles * ScoreTile::kBytes;
  static constexpr int kTerms = kSums + kSumsBytes;
  static constexpr int kWork = kTerms + config::kStages * kTermsBytes;
  static constexpr int kSteps = kWork + 2 * 16;
  static constexpr int kKeyMbarriers = kSteps + config::kStages * 16;
  static constexpr int kValueMbarriers = kKeyMbarriers + SlotRing<1>::kMbarrierBytes;
  static constexpr int kQueryMbarriers = kValueMbarriers + SlotRing<1>::kMbarrierBytes;
  static constexpr int kOutputMbarriers = kQueryMbarriers + SlotRing<config::kStages>::kMbarrierBytes;
  static constexpr int kPendingTurns = kOutputMbarriers + SlotRing<config::kStages>::kMbarrierBytes;
  static constexpr int kBytes = kPendingTurns + (config::kDeterministic ? config::kWarps * 8 : 0);
};
static_assert(Layout::kBytes == config::kSharedBytes, "the generator's resource model must know this layout");

struct Rings {
  SlotRing<1> key;  // and what the piece of work is
  SlotRing<1> value;
  SlotRing<config::kStages> query;  // with the terms of its rows, and what the step is
  SlotRing<config::kStages> output_gradient;

  __device__ __forceinline__ explicit Rings(unsigned shared)
      : key(shared + Layout::kKeyMbarriers),
        value(shared + Layout::kValueMbarriers),
        query(shared + Layout::kQueryMbarriers),
        output_gradient(shared + Layout::kOutputMbarriers) {}

  /// By one thread.
  __device__ __forceinline__ void initialise() const {
    key.initialise(config::kWarps);
    value.initialise(config::kWarps);
    query.initialise(config::kWarps);
    output_gradient.initialise(config::kWarps);
    fence_mbarrier_initialisation();
  }
};

/// What the producer says of a piece of work. Two take turns: the next one is announced while this one ends.
struct Work {
  int key_tile;  // -1: there is no more work
  int batch;
  int slice;  // key head * parts of its group + part
  bool has_steps;

  static __device__ __forceinline__ unsigned address(unsigned shared, unsigned number) {
    return shared + Layout::kWork + number % 2 * 16;
  }
  __device__ __forceinline__ void write(unsigned address) const {
    store_shared(address, static_cast<unsigned>(key_tile), static_cast<unsigned>(batch));
    store_shared(address + 8, static_cast<unsigned>(slice), has_steps ? 1u : 0u);
  }
  static __device__ __forceinline__ Work read(unsigned address) {
    int work[4];
    load_shared(work, address);
    return {work[0], work[1], work[2], work[3] != 0};
  }
};

/// What it says of a query tile, for each slot.
struct StepNote {
  int row_tile;
  int head;  // query head
  bool is_partial;
  bool is_last;
  unsigned turn;  // deterministic: how many key tiles add to the tile's dQ before this one

  static __device__ __forceinline__ unsigned address(unsigned shared, unsigned slot) {
    return shared + Layout::kSteps + slot * 16;
  }
  __device__ __forceinline__ void write(unsigned address) const {
    store_shared(address, static_cast<unsigned>(row_tile), static_cast<unsigned>(head));
    store_shared(address + 8, (is_partial ? 1u : 0u) | (is_last ? 2u : 0u), turn);
  }
  static __device__ __forceinline__ StepNote read(unsigned address) {
    int note[4];
    load_shared(note, address);
    return {note[0], note[1], (note[2] & 1) != 0, (note[2] & 2) != 0, static_cast<unsigned>(note[3])};
  }
};

/// Of all tiles of query rows, over heads and batch entries.
__device__ __forceinline__ long long row_tile_number(const BackwardArguments& arguments, int batch, int head,
                                                     int row_tile) {
  return (static_cast<long long>(batch) * arguments.num_heads_q + head) * arguments.row_tiles + row_tile;
}

/// The warp that feeds the others.
class Producer {
 public:
  __device__ __forceinline__ Producer(const BackwardSm90Arguments& arguments, unsigned shared)
      : arguments_(arguments), shared_(shared), rings_(shared), leads_(read_lane() == 0) {}

  __device__ __forceinline__ void run() {
    // All work is taken by tickets: who waits for a turn then waits for those that have started already.
#pragma unroll 1
    for (unsigned number = ticket(); number < static_cast<unsigned>(arguments_.work_items); number = ticket())
      feed(number);
    announce({-1, 0, 0, false});
  }

 private:
  __device__ __forceinline__ unsigned ticket() const {
    unsigned ticket = 0;
    if (leads_) ticket = take_ticket(arguments_.backward.tickets);
    return __shfl_sync(0xffffffffu, ticket, 0);
  }

  __device__ __forceinline__ void feed(unsigned number) {
    const BackwardArguments& backward = arguments_.backward;
    const WorkItem item = work_item(
        {backward.key_tiles, backward.section_heads, backward.batch * backward.num_heads_kv * backward.splits}, number);
    const int slices = backward.num_heads_kv * backward.splits;
    const int batch = item.head / slices;
    const int slice = item.head % slices;
    const int first_head = slice * backward.heads_per_cta;
    int key_tile = item.rank;
    // Turns are taken in ascending order. Otherwise the first head's longest come first.
    if (!config::kDeterministic && RowTiles::has_plan(backward)) {
      const long long mask_head = batch * backward.num_heads_mask + first_head / backward.heads_per_mask_head;
      key_tile = static_cast<int>(load_global_16(backward.plan_work + mask_head * backward.key_tiles + item.rank).x);
    }
    RowTiles tiles(backward, batch, first_head, key_tile);
    RowTileStep step = tiles.next();
    announce({key_tile, batch, slice, step.exists});
    if (!step.exists) leave_values_out();
#pragma unroll 1
    for (bool is_first = true; step.exists; is_first = false) {
      const RowTileStep next = tiles.next();
      load_query(step, !next.exists, config::kDeterministic ? tiles.turn_of(step) : 0, batch);
      if (is_first) load_values(key_tile, batch, slice / backward.splits);
      load_output_gradient(step, batch);
      ++steps_;
      step = next;
    }
    ++works_;
  }

  /// Tells of the next piece of work, and copies its keys.
  __device__ __forceinline__ void announce(const Work& work) {
    rings_.key.wait_until_empty(works_);
    if (leads_) {
      work.write(Work::address(shared_, works_));
      if (work.has_steps) {
        arrive_expecting(rings_.key.full(works_), KeyTile::kBytes);
        load_boxes(KeyTile{shared_ + Layout::kKey}, arguments_.key,
                   {0, work.key_tile * config::kTileK, work.slice / arguments_.backward.splits, work.batch},
                   rings_.key.full(works_));
      } else {
        arrive(rings_.key.full(works_));
      }
    }
  }

  __device__ __forceinline__ void load_values(int key_tile, int batch, int head_kv) {
    rings_.value.wait_until_empty(works_);
    if (leads_) {
      arrive_expecting(rings_.value.full(works_), ValueTile::kBytes);
      load_boxes(ValueTile{shared_ + Layout::kValue}, arguments_.value, {0, key_tile * config::kTileK, head_kv, batch},
                 rings_.value.full(works_));
    }
  }

  /// The turn of the values passes all the same.
  __device__ __forceinline__ void leave_values_out() {
    rings_.value.wait_until_empty(works_);
    if (leads_) arrive(rings_.value.full(works_));
  }

  __device__ __forceinline__ void load_query(const RowTileStep& step, bool is_last, unsigned turn, int batch) {
    rings_.query.wait_until_empty(steps_);
    if (leads_) {
      const unsigned slot = rings_.query.slot(steps_);
      const unsigned full = rings_.query.full(steps_);
      StepNote{step.row_tile, step.head, step.is_partial, is_last, turn}.write(StepNote::address(shared_, slot));
      arrive_expecting(full, QueryTile::kBytes + Layout::kTermsBytes);
      load_boxes(QueryTile{shared_ + Layout::kQuery + slot * QueryTile::kBytes}, arguments_.query,
                 {0, step.row_tile * config::kTileQ, step.head, batch}, full);
      const long long tile = row_tile_number(arguments_.backward, batch, step.head, step.row_tile);
      load_bytes(shared_ + Layout::kTerms + slot * Layout::kTermsBytes,
                 arguments_.backward.row_terms + tile * config::kTileQ, Layout::kTermsBytes, full);
    }
  }

  __device__ __forceinline__ void load_output_gradient(const RowTileStep& step, int batch) {
    rings_.output_gradient.wait_until_empty(steps_);
    if (leads_) {
      const unsigned full = rings_.output_gradient.full(steps_);
      arrive_expecting(full, OutputTile::kBytes);
      load_boxes(OutputTile{shared_ + Layout::kOutputGradient + rings_.query.slot(steps_) * OutputTile::kBytes},
                 arguments_.output_gradient, {0, step.row_tile * config::kTileQ, step.head, batch}, full);
    }
  }

  /// All panels of a tile.
  template <class Tile>
  static __device__ __forceinline__ void load_boxes(const Tile& tile, const TensorMap& map, BoxPlace place,
                                                    unsigned mbarrier) {
#pragma unroll
    for (int panel = 0; panel < Tile::kPanels; ++panel) {
      place.column = panel * Tile::kPanelColumns;
      load_box(tile.panel(panel), map, place, mbarrier);
    }
  }

  const BackwardSm90Arguments& arguments_;
  unsigned shared_;
  Rings rings_;
  bool leads_;
  // Turns of the rings.
  unsigned works_ = 0;
  unsigned steps_ = 0;
};

/// A warpgroup that multiplies.
class Consumer {
 public:
  __device__ __forceinline__ Consumer(const BackwardSm90Arguments& arguments, unsigned shared, int warpgroup)
      : arguments_(arguments.backward), shared_(shared), rings_(shared), warpgroup_(warpgroup) {}

  __device__ __forceinline__ void run() {
    if constexpr (config::kDeterministic && config::kStagesSums)
      if (lane() == 0) store_shared(pending_turn(), static_cast<const void*>(nullptr));
#pragma unroll 1
    while (true) {
      rings_.key.wait_until_full(works_);
      if (work().key_tile < 0) break;
      differentiate();
      ++works_;
    }
    // The memory of the sums must stay until it has been read; and what has been added must be there for the others.
    if constexpr (config::kStagesSums) finish_sums();
  }

 private:
  // What the producer says, and which thread this is, is read anew wherever it is needed: it occupies no register in
  // between, nor does what follows from it.

  static __device__ __forceinline__ int lane() { return static_cast<int>(read_lane()); }
  /// Of the warpgroup.
  static __device__ __forceinline__ int warp() { return static_cast<int>(read_thread() % 128 / 32); }
  __device__ __forceinline__ Work work() const { return Work::read(Work::address(shared_, works_)); }
  __device__ __forceinline__ StepNote note() const {
    return StepNote::read(StepNote::address(shared_, rings_.query.slot(steps_)));
  }

  __device__ __forceinline__ void differentiate() {
    KeyGradient key_gradient;
    ValueGradient value_gradient;
    key_gradient.clear();
    value_gradient.clear();
    rings_.value.wait_until_full(works_);
    if (work().has_steps) {
      bool is_last = false;
#pragma unroll 1
      while (!is_last) is_last = absorb(key_gradient, value_gradient);
    }
    rings_.value.release(works_);
    rings_.key.release(works_);
    write_gradients(key_gradient, value_gradient);
  }

  /// One query tile of one head: all five products. Returns whether it is the last.
  __device__ __forceinline__ bool absorb(KeyGradient& key_gradient, ValueGradient& value_gradient) {
    rings_.query.wait_until_full(steps_);
    const QueryTile query{shared_ + Layout::kQuery + rings_.query.slot(steps_) * QueryTile::kBytes};
    Scores scores;
    multiply_by_rows(scores, KeyTile{shared_ + Layout::kKey}, query);
    rings_.output_gradient.wait_until_full(steps_);
    const OutputTile output_gradient{shared_ + Layout::kOutputGradient +
                                     rings_.output_gradient.slot(steps_) * OutputTile::kBytes};
    Scores gradient;
    multiply_by_rows(gradient, ValueTile{shared_ + Layout::kValue}, output_gradient);

    wait_products<1>(scores);
    if (note().is_partial) hide(scores);
    exponentiate(scores);
    ScoreOperands probabilities;
    pack(probabilities, scores);
    keep_before(probabilities);
    wait_products<0>(gradient);
    multiply_by_probabilities(gradient, scores);
    ScoreOperands gradients;
    pack(gradients, gradient);
    store(score_gradient(), gradients);
    if constexpr (kSharesKeys) {
      store(probability(), probabilities);
      fence_for_async_reads();
      synchronize_threads(1, 256);
      multiply_exchanged<ColumnsV>(value_gradient, probability(), output_gradient);
    } else {
      multiply_held(value_gradient, probabilities, output_gradient);
      fence_for_async_reads();
      synchronize_threads(1, 256);
    }
    QueryGradient query_gradient;
    multiply_keys(query_gradient);
    wait_products<1>(value_gradient);
    rings_.output_gradient.release(steps_);
    if constexpr (kSharesKeys) {
      multiply_exchanged<ColumnsQk>(key_gradient, score_gradient(), query);
    } else {
      multiply_held(key_gradient, gradients, query);
    }
    wait_products<1>(query_gradient);
    add(query_gradient);
    wait_products<0>(key_gradient);
    const bool is_last = note().is_last;
    rings_.query.release(steps_);
    ++steps_;
    return is_last;
  }

  // --- products, begun and committed ---

  /// scores (keys x rows) = keys * rows^T
  template <class Keys, class Rows>
  __device__ __forceinline__ void multiply_by_rows(Scores& scores, const Keys& keys, const Rows& rows) const {
    using Product = WarpgroupProduct<kScoreRows>;
    constexpr int kSteps = Rows::kPanels * Rows::kPanelColumns / 16;
    begin_products();
    Product::from_shared<Major::kK, Major::kK, false>(scores, keys.rows_along_k(first_key_of_warpgroup(), 0),
                                                      rows.rows_along_k(first_score_row(), 0));
#pragma unroll
    for (int step = 1; step < kSteps; ++step)
      Product::from_shared<Major::kK, Major::kK, true>(scores, keys.rows_along_k(first_key_of_warpgroup(), step),
                                                       rows.rows_along_k(first_score_row(), step));
    commit_products();
  }

  /// gradient += scores * rows, of the warpgroup's own keys.
  template <int kColumnBlocks, class Rows>
  __device__ __forceinline__ void multiply_held(AccumulatorTile<1, kColumnBlocks>& gradient,
                                                const ScoreOperands& scores, const Rows& rows) const {
    begin_products();
#pragma unroll
    for (int step = 0; step < kScoreRows / 16; ++step)
      WarpgroupProduct<8 * kColumnBlocks>::template from_registers<Major::kMn>(gradient, scores[step],
                                                                               rows.columns_along_k(step));
    commit_products();
  }

  /// gradient += scores * rows, of all keys and the warpgroup's columns.
  template <class Columns, int kColumnBlocks, class Rows>
  __device__ __forceinline__ void multiply_exchanged(AccumulatorTile<1, kColumnBlocks>& gradient,
                                                     const ScoreTile& scores, const Rows& rows) const {
    begin_products();
#pragma unroll
    for (int step = 0; step < config::kTileQ / 16; ++step)
      WarpgroupProduct<8 * kColumnBlocks>::template from_shared<Major::kK, Major::kMn, true>(
          gradient, scores.rows_along_k(0, step), rows.columns_along_k(step, Columns::first(warpgroup_)));
    commit_products();
  }

  /// dQ = dS K, of all keys.
  __device__ __forceinline__ void multiply_keys(QueryGradient& sum) const {
    const ScoreTile scores = score_gradient();
    const KeyTile keys{shared_ + Layout::kKey};
    const int first_row = kSharesQueryColumns ? 0 : 64 * warpgroup_;
    const int first_column = kSharesQueryColumns ? ColumnsQk::first(warpgroup_) : 0;
    using Product = WarpgroupProduct<kQueryWidth>;
    begin_products();
    Product::from_shared<Major::kMn, Major::kMn, false>(sum, scores.columns_along_k(0, first_row),
                                                        keys.columns_along_k(0, first_column));
#pragma unroll
    for (int step = 1; step < config::kTileK / 16; ++step)
      Product::from_shared<Major::kMn, Major::kMn, true>(sum, scores.columns_along_k(step, first_row),
                                                         keys.columns_along_k(step, first_column));
    commit_products();
  }

  // --- scores ---

  __device__ __forceinline__ int first_key_of_warpgroup() const { return kSharesKeys ? 0 : 64 * warpgroup_; }
  __device__ __forceinline__ int first_score_row() const { return kSharesKeys ? kScoreRows * warpgroup_ : 0; }

  /// A lane has two keys, eight apart: a word of bits says which of its rows see each.
  __device__ __forceinline__ void hide(Scores& scores) const {
    const Work of_work = work();
    const StepNote of_step = note();
    const int mask_head = of_work.batch * arguments_.num_heads_mask + of_step.head / arguments_.heads_per_mask_head;
    const int* bounds =
        arguments_.row_intervals + static_cast<long long>(mask_head) * arguments_.seqlen_k * ColumnMask::kVectors;
    const int first_row = of_step.row_tile * config::kTileQ + first_score_row();
    const RowMask row_mask(arguments_);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int key =
          of_work.key_tile * config::kTileK + first_key_of_warpgroup() + 16 * warp() + lane() / 4 + 8 * half;
      ColumnMask column;
      column.read(bounds, min(key, arguments_.seqlen_k - 1));  // past the end any bounds will do
      const unsigned visible = visible_rows<kScoreRows>(row_mask, column, key, first_row, lane());
#pragma unroll
      for (int n = 0; n < kScoreBlocks; ++n)
#pragma unroll
        for (int right = 0; right < 2; ++right)
          if ((visible >> (2 * n + right) & 1) == 0) scores.block[0][n].at[2 * half + right] = -kInfinity;
    }
  }

  enum Term { kShift, kDelta };
  /// The shifts or deltas of the two neighbouring rows that the lane has in block n.
  template <Term kTerm>
  __device__ __forceinline__ void read_terms(float (&of_rows)[2], unsigned terms, int n) const {
    const int row = first_score_row() + 8 * n;
    if constexpr (config::kTermsApart) {
      load_shared(of_rows, terms + ((kTerm == kShift ? 0 : config::kTileQ) + row) * 4);
    } else {
      float both[4];
      load_shared(both, terms + row * 8);
      of_rows[0] = both[kTerm];
      of_rows[1] = both[2 + kTerm];
    }
  }
  /// The address of the first terms of the lane.
  __device__ __forceinline__ unsigned terms() const {
    return shared_ + Layout::kTerms + rings_.query.slot(steps_) * Layout::kTermsBytes +
           lane() % 4 * (config::kTermsApart ? 8 : 16);
  }

  /// Turns scores into P.
  __device__ __forceinline__ void exponentiate(Scores& scores) const {
    const unsigned lane_terms = terms();
#pragma unroll
    for (int n = 0; n < kScoreBlocks; ++n) {
      float shift[2];
      read_terms<kShift>(shift, lane_terms, n);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // P is never above 1; where huge scores lose their last bits, it stays there.
        float& p = scores.block[0][n].at[i];
        p = exp2_approx(fminf(__fmaf_rn(p, arguments_.softmax_scale_log2, -shift[i % 2]), 0.0f));
      }
    }
  }

  /// Turns dP into dS / scale.
  __device__ __forceinline__ void multiply_by_probabilities(Scores& gradient, const Scores& probabilities) const {
    const unsigned lane_terms = terms();
#pragma unroll
    for (int n = 0; n < kScoreBlocks; ++n) {
      float delta[2];
      read_terms<kDelta>(delta, lane_terms, n);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& ds = gradient.block[0][n].at[i];
        ds = probabilities.block[0][n].at[i] * (ds - delta[i % 2]);
      }
    }
  }

  /// Two neighbouring accumulators, rounded to the element type, are an operand of a product with rows.
  static __device__ __forceinline__ void pack(ScoreOperands& operands, const Scores& scores) {
#pragma unroll
    for (int step = 0; step < kScoreRows / 16; ++step) {
      const float(&left)[4] = scores.block[0][2 * step].at;
      const float(&right)[4] = scores.block[0][2 * step + 1].at;
      operands[step] = {{flashmask::pack(left[0], left[1]), flashmask::pack(left[2], left[3]),
                         flashmask::pack(right[0], right[1]), flashmask::pack(right[2], right[3])}};
    }
  }

  /// Left to itself, ptxas moves the wait for dP before the exponentials, and spills: nothing in between depends on it.
  /// It does not move it across a branch. This one is never taken, as no probability is negative.
  static __device__ __forceinline__ void keep_before(const ScoreOperands& probabilities) {
    unsigned all = 0;
#pragma unroll
    for (const OperandA& operand : probabilities)
#pragma unroll
      for (const unsigned reg : operand.reg) all |= reg;
    if (static_cast<int>(all) < 0) __nanosleep(1);
  }

  __device__ __forceinline__ ScoreTile score_gradient() const {
    return {shared_ + Layout::kScores + steps_ % Layout::kScoreSlots * ScoreTile::kBytes};
  }
  __device__ __forceinline__ ScoreTile probability() const {
    return {shared_ + Layout::kScores + (Layout::kScoreSlots + steps_ % Layout::kScoreSlots) * ScoreTile::kBytes};
  }
  /// Keys x rows, as they are held.
  __device__ __forceinline__ void store(const ScoreTile& tile, const ScoreOperands& scores) const {
#pragma unroll
    for (int step = 0; step < kScoreRows / 16; ++step)
      store_matrices(tile.address(first_key_of_warpgroup() + 16 * warp() + lane() % 16,
                                  first_score_row() / 8 + 2 * step + lane() / 16),
                     scores[step].reg);
  }

  // --- dQ ---

  /// The columns of dQ that the warpgroup has of its own, in blocks of 8, within those that it multiplies.
  __device__ __forceinline__ int first_own_block() const {
    return kSharesQueryColumns ? ColumnsQk::first_own(warpgroup_) / 8 : 0;
  }
  __device__ __forceinline__ int end_own_block() const {
    return (kSharesQueryColumns ? ColumnsQk::end_own(warpgroup_) : config::kPaddedHeadDimQk) / 8;
  }

  /// Adds the warp's 16 rows of dQ and its own columns to the sums of the step's query tile: a stretch of memory that
  /// is one warp's in every CTA. Deterministic: when that of the same warp has come before.
  __device__ __forceinline__ void add(const QueryGradient& gradient) {
    if constexpr (config::kStagesSums) {
      add_in_bulk(gradient);
    } else {
      add_one_by_one(gradient);
    }
  }

  static constexpr int kSumBlocks = config::kPaddedHeadDimQk / 8;  // of a row of blocks
  static constexpr int kSumBlockBytes = 16 * 8 * 4;

  __device__ __forceinline__ int row_block() const { return warp() + (kSharesQueryColumns ? 0 : 4 * warpgroup_); }
  __device__ __forceinline__ int first_block() const {
    return kSharesQueryColumns ? ColumnsQk::first(warpgroup_) / 8 : 0;
  }
  __device__ __forceinline__ bool is_own_block(int n) const {
    constexpr bool kSomeAreOthers = kSharesQueryColumns && ColumnsQk::kOverlap;
    return !kSomeAreOthers || (n >= first_own_block() && n < end_own_block());
  }
  /// Of the step's query tile.
  __device__ __forceinline__ long long row_tile() const {
    const StepNote of_step = note();
    return row_tile_number(arguments_, work().batch, of_step.head, of_step.row_tile);
  }
  __device__ __forceinline__ float* sums_of_tile() const {
    return arguments_.query_sums + row_tile() * (config::kTileQ * config::kPaddedHeadDimQk);
  }
  __device__ __forceinline__ unsigned* turns_of_warp() const {
    return arguments_.turns + row_tile() * config::kWarps + 4 * warpgroup_ + warp();
  }
  /// By one lane. Turns go by key tiles, and these by tickets within a head: whoever goes first started before this CTA
  /// and waits, if at all, for those that started before itself. So the turn comes.
  __device__ __forceinline__ void wait_for_turn() const {
    const unsigned* turns = turns_of_warp();
    const unsigned turn = note().turn;
    while (load_acquire(turns) != turn) {
    }
  }

  /// By way of shared memory.
  __device__ __forceinline__ void add_in_bulk(const QueryGradient& gradient) {
    finish_sums();
    const unsigned own = shared_ + Layout::kSums + (row_block() * kSumBlocks + first_block()) * kSumBlockBytes;
#pragma unroll
    for (int n = 0; n < kQueryWidth / 8; ++n)
      if (is_own_block(n)) store_shared(own + n * kSumBlockBytes + lane() * 16, gradient.block[0][n].at);
    fence_for_async_reads();
    __syncwarp();
    if (lane() != 0 || first_own_block() >= end_own_block()) return;
    if constexpr (config::kDeterministic) {
      wait_for_turn();
      fence_for_async_reductions();
    }
    add_floats(sums_of_tile() + (row_block() * kSumBlocks + first_block() + first_own_block()) * (kSumBlockBytes / 4),
               own + first_own_block() * kSumBlockBytes,
               static_cast<unsigned>((end_own_block() - first_own_block()) * kSumBlockBytes));
    commit_stores();
    if constexpr (config::kDeterministic) store_shared(pending_turn(), turns_of_warp());
  }

  /// Where shared memory has no room for the sums.
  __device__ __forceinline__ void add_one_by_one(const QueryGradient& gradient) const {
    if constexpr (config::kDeterministic) {
      if (lane() == 0) wait_for_turn();
      __syncwarp();
    }
    const BlockSums<config::kPaddedHeadDimQk> sums(sums_of_tile(), lane());
#pragma unroll
    for (int n = 0; n < kQueryWidth / 8; ++n)
      if (is_own_block(n)) sums.add(row_block(), first_block() + n, gradient.block[0][n]);
    if constexpr (config::kDeterministic) {
      __syncwarp();
      if (lane() == 0) reduce_add_release(turns_of_warp(), 1);
    }
  }

  /// Deterministic, lane 0: where the turn is to be passed on when the warp's last sums have been added; null: nowhere.
  __device__ __forceinline__ unsigned pending_turn() const {
    return shared_ + Layout::kPendingTurns + (4 * warpgroup_ + warp()) * 8;
  }

  /// Until the memory of the warp's last sums may be written again. Deterministic: until they have been added, and the
  /// turn is passed on.
  __device__ __forceinline__ void finish_sums() {
    if (lane() == 0) {
      if constexpr (config::kDeterministic) {
        wait_until_stores_are_done();
        const void* turns = load_shared_pointer(pending_turn());
        if (turns != nullptr) reduce_add_release(static_cast<unsigned*>(const_cast<void*>(turns)), 1);
        store_shared(pending_turn(), static_cast<const void*>(nullptr));
      } else {
        wait_until_stores_are_read();
      }
    }
    __syncwarp();
  }

  // --- dK and dV ---

  __device__ __forceinline__ void write_gradients(const KeyGradient& key_gradient,
                                                  const ValueGradient& value_gradient) const {
    const Work of_work = work();
    const int head_kv = of_work.slice / arguments_.splits;
    const int part = of_work.slice % arguments_.splits;
    const int first_key = of_work.key_tile * config::kTileK;
    const long long tile_of_part =
        ((static_cast<long long>(part) * arguments_.batch + of_work.batch) * arguments_.num_heads_kv + head_kv) *
            arguments_.key_tiles +
        of_work.key_tile;
    const auto rows_of = [&](void* data, const RowStrides& strides) {
      return rows_out(data, strides, of_work.batch, head_kv, first_key, arguments_.seqlen_k);
    };
    const auto sums_of = [&](float* sums, int width) {
      return sums == nullptr ? nullptr : sums + tile_of_part * (config::kTileK * width);
    };
    write<ColumnsQk, config::kPaddedHeadDimQk>(
        key_gradient, rows_of(arguments_.key_gradient, arguments_.key_gradient_strides),
        sums_of(arguments_.key_sums, config::kPaddedHeadDimQk), config::kHeadDimQk, arguments_.softmax_scale);
    write<ColumnsV, config::kPaddedHeadDimV>(
        value_gradient, rows_of(arguments_.value_gradient, arguments_.value_gradient_strides),
        sums_of(arguments_.value_sums, config::kPaddedHeadDimV), config::kHeadDimV, 1.0f);
  }

  /// Writes the warp's 16 keys of dK or dV: to the tensor, or, where a group of query heads is split, to the sums of
  /// this part.
  template <class Columns, int kColumns, int kColumnBlocks>
  __device__ __forceinline__ void write(const AccumulatorTile<1, kColumnBlocks>& gradient, const RowsOut& rows,
                                        float* sums, int width, float scale) const {
    const int row = first_key_of_warpgroup() + 16 * warp();
    const int first_column = kSharesKeys ? Columns::first(warpgroup_) : 0;
#pragma unroll
    for (int pair = 0; pair < kColumnBlocks / 2; ++pair) {
      const bool is_own = 16 * pair >= Columns::first_own(warpgroup_) && 16 * pair < Columns::end_own(warpgroup_);
      if (kSharesKeys && Columns::kOverlap && !is_own) continue;
      const Accumulator& left = gradient.block[0][2 * pair];
      const Accumulator& right = gradient.block[0][2 * pair + 1];
      if (sums == nullptr) {
        rows.store(row, first_column + 16 * pair, width, left, right, scale, lane());
      } else {
        const BlockSums<kColumns> part(sums, lane());
        part.store(row / 16, first_column / 8 + 2 * pair, left);
        part.store(row / 16, first_column / 8 + 2 * pair + 1, right);
      }
    }
  }

  const BackwardArguments& arguments_;
  unsigned shared_;
  Rings rings_;
  int warpgroup_;
  // Turns of the rings.
  unsigned works_ = 0;
  unsigned steps_ = 0;
};

}  // namespace backward

/// dK, dV, and the sums of dQ. Grid: as many CTAs as fit the GPU.
__device__ __forceinline__ void backward_attention_sm90(const BackwardSm90Arguments& arguments) {
  using namespace backward;
  const unsigned shared = dynamic_shared_memory();
  if (threadIdx.x == 0) {
    Rings(shared).initialise();
    prefetch_tensor_map(arguments.query);
    prefetch_tensor_map(arguments.output_gradient);
    prefetch_tensor_map(arguments.key);
    prefetch_tensor_map(arguments.value);
  }
  __syncthreads();
  // One value for all lanes of a warp, and known to be.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp < 4) {
    give_up_registers<config::kProducerRegisters>();
    if (warp == 0) Producer(arguments, shared).run();
  } else {
    take_registers<config::kConsumerRegisters>();
    Consumer(arguments, shared, warp / 4 - 1).run();
  }
}

}  // namespace flashmask
