#pragma once

#include "config.cuh"
#include "forward_sm90_arguments.cuh"
#include "mask/columns_none.cuh"
#include "mask/rows_all.cuh"
#include "mask/tile_intervals.cuh"
#include "mask/visible_keys.cuh"
#include "online_softmax.cuh"
#include "panel_tile.cuh"
#include "primitives/mbarrier.cuh"
#include "primitives/register_budget.cuh"
#include "primitives/tensor_copy.cuh"
#include "primitives/thread.cuh"
#include "primitives/wgmma.cuh"
#include "slot_ring.cuh"
#include "walk/key_tiles.cuh"
#include "work_order.cuh"

namespace flashmask {

// Forward attention with wgmma, for sm_90a. A CTA stays on its SM and takes one piece of work (a query tile of a head)
// after the other. Its first warpgroup produces: one warp of it walks the key tiles, has tensor copies bring Q, K and V
// into rings of slots, and prepares the mask of partial tiles. The others consume: each multiplies 64 query rows of its
// own. All walk the same tiles in the same order; the producer says what they are.

namespace forward {

inline constexpr int kWarpgroups = config::kWarps / 4;  // that multiply
inline constexpr int kKeyBlocks = config::kTileK / 8;
inline constexpr int kValueBlocks = config::kPaddedHeadDimV / 8;

using QueryTile = PanelTile<config::kTileQ, config::kPaddedHeadDimQk>;
using KeyTile = PanelTile<config::kTileK, config::kPaddedHeadDimQk>;
using ValueTile = PanelTile<config::kTileK, config::kPaddedHeadDimV>;
using OutputTile = PanelTile<config::kTileQ, config::kPaddedHeadDimV>;
using Scores = AccumulatorTile<1, kKeyBlocks>;
using Output = AccumulatorTile<1, kValueBlocks>;
using Softmax = OnlineSoftmax<1>;
using Intervals = TileIntervals<config::kTileQ, config::kTileK>;

/// Shared memory: slots of query tiles (of which the output takes the place), of key and of value tiles, of the mask's
/// intervals; what the producer says; the mbarriers.
struct Layout {
  static constexpr int kQueryBytes = QueryTile::kBytes > OutputTile::kBytes ? QueryTile::kBytes : OutputTile::kBytes;
  static constexpr int kBoundsSlots = ColumnMask::kVectors > 0 ? 2 : 0;

  static constexpr int kQuery = 0;
  static constexpr int kKey = kQuery + config::kQuerySlots * kQueryBytes;
  static constexpr int kValue = kKey + config::kStages * KeyTile::kBytes;
  static constexpr int kBounds = kValue + config::kStages * ValueTile::kBytes;
  static constexpr int kWork = kBounds + kBoundsSlots * Intervals::kBytes;
  static constexpr int kSteps = kWork + config::kQuerySlots * 16;
  static constexpr int kMbarriers = kSteps + (config::kStages + 1) / 2 * 8;
  static constexpr int kQueryMbarriers = kMbarriers;
  static constexpr int kKeyMbarriers = kQueryMbarriers + SlotRing<config::kQuerySlots>::kMbarrierBytes;
  static constexpr int kValueMbarriers = kKeyMbarriers + SlotRing<config::kStages>::kMbarrierBytes;
  static constexpr int kBoundsMbarriers = kValueMbarriers + SlotRing<config::kStages>::kMbarrierBytes;
  static constexpr int kBytes = kBoundsMbarriers + (kBoundsSlots > 0 ? SlotRing<2>::kMbarrierBytes : 0);
};
static_assert(Layout::kBytes == config::kSharedBytes, "the generator's resource model must know this layout");

struct Rings {
  SlotRing<config::kQuerySlots> query;
  SlotRing<config::kStages> key;
  SlotRing<config::kStages> value;
  SlotRing<2> bounds;  // of partial tiles alone

  __device__ __forceinline__ explicit Rings(unsigned shared)
      : query(shared + Layout::kQueryMbarriers),
        key(shared + Layout::kKeyMbarriers),
        value(shared + Layout::kValueMbarriers),
        bounds(shared + Layout::kBoundsMbarriers) {}

  /// By one thread.
  __device__ __forceinline__ void initialise() const {
    query.initialise(config::kWarps);
    key.initialise(config::kWarps);
    value.initialise(config::kWarps);
    if constexpr (Layout::kBoundsSlots > 0) bounds.initialise(config::kWarps);
    fence_mbarrier_initialisation();
  }
};

/// What the producer says of a piece of work, in the slot of its query tile.
struct Work {
  int first_row;  // -1: there is no more work
  int head;       // batch entry * num_heads_q + query head
  int key_tiles;  // to be visited; without any, no query tile is copied

  static __device__ __forceinline__ unsigned address(unsigned shared, unsigned slot) {
    return shared + Layout::kWork + slot * 16;
  }
  __device__ __forceinline__ void write(unsigned address) const {
    store_shared(address, static_cast<unsigned>(first_row), static_cast<unsigned>(head));
    store_shared(address + 8, static_cast<unsigned>(key_tiles), 0u);
  }
  static __device__ __forceinline__ Work read(unsigned address) {
    int work[4];
    load_shared(work, address);
    return {work[0], work[1], work[2]};
  }
};

/// What it says of a key tile, in a word for each slot.
struct StepNote {
  int first_key;  // a multiple of 16
  bool is_partial;

  static __device__ __forceinline__ unsigned address(unsigned shared, unsigned slot) {
    return shared + Layout::kSteps + slot * 4;
  }
  __device__ __forceinline__ void write(unsigned address) const {
    store_shared(address, static_cast<unsigned>(first_key | (is_partial ? 1 : 0)));
  }
  static __device__ __forceinline__ StepNote read(unsigned address) {
    int note[1];
    load_shared(note, address);
    return {note[0] & ~1, (note[0] & 1) != 0};
  }
};

/// The warp that feeds the others.
class Producer {
 public:
  __device__ __forceinline__ Producer(const ForwardSm90Arguments& arguments, unsigned shared)
      : arguments_(arguments), shared_(shared), rings_(shared), leads_(read_lane() == 0) {}

  __device__ __forceinline__ void run() {
    const ForwardArguments& forward = arguments_.forward;
    const WorkOrder order{forward.row_tiles, forward.section_heads, forward.batch * forward.num_heads_q};
    unsigned number = blockIdx.x;
#pragma unroll 1
    while (number < static_cast<unsigned>(arguments_.work_items)) {
      // On its way while this piece of work is done.
      unsigned ticket = 0;
      if (leads_) ticket = take_ticket(arguments_.tickets);
      feed(work_item(order, number));
      number = gridDim.x + __shfl_sync(0xffffffffu, ticket, 0);
    }
    announce({-1, 0, 0}, 0, 0);
  }

 private:
  __device__ __forceinline__ void feed(const WorkItem& item) {
    const ForwardArguments& forward = arguments_.forward;
    const int batch = item.head / forward.num_heads_q;
    const int head = item.head % forward.num_heads_q;
    const int head_kv = head / (forward.num_heads_q / forward.num_heads_kv);
    const int mask_head = batch * forward.num_heads_mask + head / forward.heads_per_mask_head;
    const RowMask row_mask(forward);
    KeyTiles tiles(forward, row_mask, item.rank, mask_head);
    announce({tiles.first_row(), item.head, tiles.count()}, batch, head);
    int value_key = 0;
#pragma unroll 1
    for (int i = 0; i < tiles.count(); ++i) {
      const KeyTileStep step = tiles.next();
      Intervals::Columns columns;
      if constexpr (ColumnMask::kVectors > 0)
        if (step.is_partial) columns.load(bounds_of(mask_head), step.first_key, forward.seqlen_k);
      rings_.key.wait_until_empty(keys_);
      if (leads_) {
        StepNote{step.first_key, step.is_partial}.write(StepNote::address(shared_, rings_.key.slot(keys_)));
        load<KeyTile>(arguments_.key, shared_ + Layout::kKey, rings_.key, keys_, step.first_key, head_kv, batch);
      }
      ++keys_;
      if constexpr (ColumnMask::kVectors > 0)
        if (step.is_partial) prepare_mask(columns, row_mask, step.first_key, tiles.first_row());
      // The values of a tile are wanted one product later than its keys.
      if (i > 0) load_values(value_key, head_kv, batch);
      value_key = step.first_key;
    }
    if (tiles.count() > 0) load_values(value_key, head_kv, batch);
  }

  __device__ __forceinline__ const int* bounds_of(int mask_head) const {
    return arguments_.forward.row_intervals +
           static_cast<long long>(mask_head) * arguments_.forward.seqlen_k * ColumnMask::kVectors;
  }

  /// Tells of the next piece of work, and copies its query tile.
  __device__ __forceinline__ void announce(const Work& work, int batch, int head) {
    rings_.query.wait_until_empty(works_);
    if (leads_) {
      work.write(Work::address(shared_, rings_.query.slot(works_)));
      if (work.key_tiles > 0) {
        load<QueryTile, Layout::kQueryBytes>(arguments_.query, shared_ + Layout::kQuery, rings_.query, works_,
                                             work.first_row, head, batch);
      } else {
        arrive(rings_.query.full(works_));
      }
    }
    ++works_;
  }

  __device__ __forceinline__ void load_values(int first_key, int head_kv, int batch) {
    rings_.value.wait_until_empty(values_);
    if (leads_)
      load<ValueTile>(arguments_.value, shared_ + Layout::kValue, rings_.value, values_, first_key, head_kv, batch);
    ++values_;
  }

  /// Copies a tile into a slot of a ring.
  template <class Tile, int kSlotBytes = Tile::kBytes, class Ring>
  static __device__ __forceinline__ void load(const TensorMap& map, unsigned slots, const Ring& ring, unsigned turn,
                                              int row, int head, int batch) {
    arrive_expecting(ring.full(turn), Tile::kBytes);
    const Tile tile{slots + ring.slot(turn) * kSlotBytes};
#pragma unroll
    for (int panel = 0; panel < Tile::kPanels; ++panel)
      load_box(tile.panel(panel), map, {panel * Tile::kPanelColumns, row, head, batch}, ring.full(turn));
  }

  __device__ __forceinline__ void prepare_mask(const typename Intervals::Columns& columns, const RowMask& row_mask,
                                               int first_key, int first_row) {
    rings_.bounds.wait_until_empty(partials_);
    Intervals(shared_ + Layout::kBounds + rings_.bounds.slot(partials_) * Intervals::kBytes)
        .write(columns, row_mask, first_key, first_row);
    __syncwarp();
    if (leads_) arrive(rings_.bounds.full(partials_));
    ++partials_;
  }

  const ForwardSm90Arguments& arguments_;
  unsigned shared_;
  Rings rings_;
  bool leads_;
  // Turns of the rings.
  unsigned works_ = 0;
  unsigned keys_ = 0;
  unsigned values_ = 0;
  unsigned partials_ = 0;
};

/// Lets the warpgroups take turns, so that their products do not meet and one multiplies while another is at its
/// exponentials.
class Turns {
 public:
  static constexpr bool kTaken = config::kTakesTurns && kWarpgroups > 1;

  __device__ __forceinline__ explicit Turns(int warpgroup) : warpgroup_(warpgroup) {
    // As if the last one had had its turn.
    if (kTaken && warpgroup == kWarpgroups - 1) end();
  }
  __device__ __forceinline__ void begin() const {
    if constexpr (kTaken) synchronize_threads(1 + warpgroup_, 256);
  }
  __device__ __forceinline__ void end() const {
    if constexpr (kTaken) arrive_at_barrier(1 + (warpgroup_ + 1) % kWarpgroups, 256);
  }

 private:
  int warpgroup_;
};

/// A warpgroup that multiplies.
class Consumer {
 public:
  __device__ __forceinline__ Consumer(const ForwardSm90Arguments& arguments, unsigned shared, int warpgroup)
      : arguments_(arguments),
        shared_(shared),
        rings_(shared),
        turns_(warpgroup),
        warpgroup_(warpgroup),
        first_warp_row_(64 * warpgroup + static_cast<int>(threadIdx.x) % 128 / 32 * 16),
        lane_(static_cast<int>(threadIdx.x % 32)) {}

  __device__ __forceinline__ void run() {
#pragma unroll 1
    while (true) {
      rings_.query.wait_until_full(works_);
      const Work work = Work::read(Work::address(shared_, rings_.query.slot(works_)));
      if (work.first_row < 0) break;
      attend(work);
      ++works_;
    }
  }

 private:
  using Probabilities = OperandA[config::kTileK / 16];

  __device__ __forceinline__ void attend(const Work& work) {
    const QueryTile query{shared_ + Layout::kQuery + rings_.query.slot(works_) * Layout::kQueryBytes};
    Output output;
    output.clear();
    Softmax softmax(arguments_.forward.softmax_scale_log2);
    if (work.key_tiles > 0) {
      if constexpr (config::kOverlaps) {
        attend_overlapping(work, query, softmax, output);
      } else {
        attend_step_by_step(work, query, softmax, output);
      }
    }
    write_results(work, softmax, output);
  }

  /// The scores of a tile are turned into P while the product of the tile before with its values runs.
  __device__ __forceinline__ void attend_overlapping(const Work& work, const QueryTile& query, Softmax& softmax,
                                                     Output& output) {
    Scores scores;
    Probabilities probabilities;
    rings_.key.wait_until_full(tiles_);
    multiply_keys(scores, query);
    StepNote note = read_note();
    wait_products<0>(scores);
    rings_.key.release(tiles_);
    hide(scores, note, work);
    softmax.raise(scores);  // from nothing
    softmax.exponentiate(scores);
    pack(probabilities, scores);
    if (work.key_tiles > 1) rings_.key.wait_until_full(tiles_ + 1);
#pragma unroll 1
    for (int left = work.key_tiles - 1; left > 0; --left) {
      ++tiles_;
      turns_.begin();
      multiply_keys(scores, query);
      rings_.value.wait_until_full(tiles_ - 1);
      multiply_values(output, probabilities, tiles_ - 1);
      turns_.end();
      note = read_note();
      wait_products<1>(scores);
      rings_.key.release(tiles_);
      hide(scores, note, work);
      const Softmax::Growth growth = softmax.raise(scores);
      softmax.exponentiate(scores);
      // Left to itself, ptxas moves the wait for the other product before the exponentials: nothing in between depends
      // on it. It does not move it across the loop of another wait, and the next keys are waited for in any case.
      if (left > 1) rings_.key.wait_until_full(tiles_ + 1);
      wait_products<0>(output);
      rings_.value.release(tiles_ - 1);
      if (growth.some_grow) Softmax::rescale(output, growth);
      pack(probabilities, scores);
    }
    rings_.value.wait_until_full(tiles_);
    multiply_values(output, probabilities, tiles_);
    wait_products<0>(output);
    rings_.value.release(tiles_);
    ++tiles_;
  }

  /// One thing after the other: the warpgroups overlap with each other alone.
  __device__ __forceinline__ void attend_step_by_step(const Work& work, const QueryTile& query, Softmax& softmax,
                                                      Output& output) {
#pragma unroll 1
    for (int left = work.key_tiles; left > 0; --left, ++tiles_) {
      Scores scores;
      Probabilities probabilities;
      rings_.key.wait_until_full(tiles_);
      multiply_keys(scores, query);
      const StepNote note = read_note();
      wait_products<0>(scores);
      rings_.key.release(tiles_);
      turns_.begin();
      hide(scores, note, work);
      const Softmax::Growth growth = softmax.raise(scores);
      softmax.exponentiate(scores);
      turns_.end();
      if (growth.some_grow) Softmax::rescale(output, growth);
      pack(probabilities, scores);
      rings_.value.wait_until_full(tiles_);
      multiply_values(output, probabilities, tiles_);
      wait_products<0>(output);
      rings_.value.release(tiles_);
    }
  }

  /// scores = query * keys^T of the current tile, begun.
  __device__ __forceinline__ void multiply_keys(Scores& scores, const QueryTile& query) const {
    const KeyTile keys{shared_ + Layout::kKey + rings_.key.slot(tiles_) * KeyTile::kBytes};
    constexpr int kSteps = config::kPaddedHeadDimQk / 16;
    using Product = WarpgroupProduct<config::kTileK>;
    begin_products();
    Product::from_shared<Major::kK, Major::kK, false>(scores, query.rows_along_k(64 * warpgroup_, 0),
                                                      keys.rows_along_k(0, 0));
#pragma unroll
    for (int step = 1; step < kSteps; ++step)
      Product::from_shared<Major::kK, Major::kK, true>(scores, query.rows_along_k(64 * warpgroup_, step),
                                                       keys.rows_along_k(0, step));
    commit_products();
  }

  /// output += probabilities * values of a tile, begun.
  __device__ __forceinline__ void multiply_values(Output& output, const Probabilities& probabilities,
                                                  unsigned tile) const {
    const ValueTile values{shared_ + Layout::kValue + rings_.value.slot(tile) * ValueTile::kBytes};
    begin_products();
#pragma unroll
    for (int step = 0; step < config::kTileK / 16; ++step)
      WarpgroupProduct<config::kPaddedHeadDimV>::from_registers<Major::kMn>(output, probabilities[step],
                                                                            values.columns_along_k(step));
    commit_products();
  }

  __device__ __forceinline__ StepNote read_note() const {
    return StepNote::read(StepNote::address(shared_, rings_.key.slot(tiles_)));
  }

  __device__ __forceinline__ void hide(Scores& scores, const StepNote& note, const Work& work) {
    if (!note.is_partial) return;
    const int first_lane_row = first_warp_row_ + lane_ / 4;
    if constexpr (ColumnMask::kVectors > 0) {
      rings_.bounds.wait_until_full(partials_);
      Intervals(shared_ + Layout::kBounds + rings_.bounds.slot(partials_) * Intervals::kBytes)
          .apply(scores, first_lane_row, lane_);
      rings_.bounds.release(partials_);
      ++partials_;
    } else {
      hide_by_row(scores, RowMask(arguments_.forward), work.first_row + first_lane_row, note.first_key, lane_);
    }
  }

  /// Two neighbouring accumulators, rounded to the element type, are an operand of the product with the values.
  static __device__ __forceinline__ void pack(Probabilities& probabilities, const Scores& scores) {
#pragma unroll
    for (int step = 0; step < config::kTileK / 16; ++step) {
      const float(&left)[4] = scores.block[0][2 * step].at;
      const float(&right)[4] = scores.block[0][2 * step + 1].at;
      probabilities[step] = {{flashmask::pack(left[0], left[1]), flashmask::pack(left[2], left[3]),
                              flashmask::pack(right[0], right[1]), flashmask::pack(right[2], right[3])}};
    }
  }

  /// Divides by the row sums, writes LSE and, by way of the query tile's place, the output. Each warp for itself, once
  /// nobody needs the query rows that lie there.
  __device__ __forceinline__ void write_results(const Work& work, const Softmax& softmax, const Output& output) const {
    const ForwardArguments& forward = arguments_.forward;
    const OutputTile tile{shared_ + Layout::kQuery + rings_.query.slot(works_) * Layout::kQueryBytes};
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Softmax::Total total = softmax.total(0, half);
      inverse[half] = total.inverse;
      const int row = work.first_row + first_warp_row_ + lane_ / 4 + 8 * half;
      if (forward.lse != nullptr && lane_ % 4 == 0 && row < forward.seqlen_q)
        forward.lse[static_cast<long long>(work.head) * forward.seqlen_q + row] = total.lse;
    }
    // Rows of output lie where the same rows of queries did, unless the panels are of another width.
    if constexpr (OutputTile::kSpan == QueryTile::kSpan) {
      synchronize_threads(1 + kWarpgroups + warpgroup_, 128);
    } else {
      synchronize_threads(1 + kWarpgroups, 128 * kWarpgroups);
    }
#pragma unroll
    for (int pair = 0; pair < kValueBlocks / 2; ++pair) {
      const float(&left)[4] = output.block[0][2 * pair].at;
      const float(&right)[4] = output.block[0][2 * pair + 1].at;
      const unsigned rounded[4] = {flashmask::pack(left[0] * inverse[0], left[1] * inverse[0]),
                                   flashmask::pack(left[2] * inverse[1], left[3] * inverse[1]),
                                   flashmask::pack(right[0] * inverse[0], right[1] * inverse[0]),
                                   flashmask::pack(right[2] * inverse[1], right[3] * inverse[1])};
      store_matrices(tile.address(first_warp_row_ + lane_ % 16, 2 * pair + lane_ / 16), rounded);
    }
    fence_for_async_reads();
    __syncwarp();
    if (lane_ == 0) {
#pragma unroll
      for (int panel = 0; panel < OutputTile::kPanels; ++panel)
        store_box(arguments_.output,
                  {panel * OutputTile::kPanelColumns, work.first_row + first_warp_row_, work.head % forward.num_heads_q,
                   work.head / forward.num_heads_q},
                  tile.panel(panel) + first_warp_row_ * OutputTile::kSpan);
      commit_stores();
      wait_until_stores_are_read();
      arrive(rings_.query.empty(works_));
    }
  }

  const ForwardSm90Arguments& arguments_;
  unsigned shared_;
  Rings rings_;
  Turns turns_;
  int warpgroup_;
  int first_warp_row_;
  int lane_;
  // Turns of the rings: pieces of work, key tiles (and those of values), partial ones.
  unsigned works_ = 0;
  unsigned tiles_ = 0;
  unsigned partials_ = 0;
};

}  // namespace forward

__device__ __forceinline__ void forward_attention_sm90(const ForwardSm90Arguments& arguments) {
  using namespace forward;
  const unsigned shared = dynamic_shared_memory();
  if (threadIdx.x == 0) {
    Rings(shared).initialise();
    prefetch_tensor_map(arguments.query);
    prefetch_tensor_map(arguments.key);
    prefetch_tensor_map(arguments.value);
    prefetch_tensor_map(arguments.output);
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
