#pragma once

#include "config.cuh"
#include "mask/columns_none.cuh"
#include "mask_plan_arguments.cuh"
#include "primitives/global_memory.cuh"
#include "primitives/thread.cuh"

namespace flashmask::mask_plan {

// The plan of a mask: the exact class of every tile, summaries and orders of work. Two launches. `classify`: a CTA per
// key tile counts, for all row tiles, how many of its columns are hidden somewhere in them and how many throughout.
// `arrange`: a CTA per 32 row tiles turns the bits over to rows of tiles; the last of them to end sorts the row tiles,
// and one more CTA the key tiles.

inline constexpr int kThreads = 256;
inline constexpr int kWarps = kThreads / 32;
inline constexpr int kChunkTiles = 2048;  // row tiles that are counted at a time
inline constexpr int kBuckets = 1024;     // of costs, when work is sorted

__device__ __forceinline__ int lane_of_thread() {
  return threadIdx.x % 32;
}
__device__ __forceinline__ int warp_of_thread() {
  return threadIdx.x / 32;
}
__device__ __forceinline__ int divide_up(int dividend, int divisor) {
  return dividend / divisor + (dividend % divisor != 0 ? 1 : 0);
}

/// Rows [start, end).
struct Interval {
  int start;
  int end;
};

/// Sum over the lanes up to this one.
__device__ __forceinline__ int sum_up_to_lane(int value) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int below = __shfl_up_sync(0xffffffffu, value, distance);
    if (lane_of_thread() >= distance) value += below;
  }
  return value;
}

// ---- Classes ----

/// For every row tile of a chunk, how many columns hide a row of it (high half) and how many hide all of them (low
/// half); while columns are counted, the differences between neighbouring tiles.
struct Counts {
  int at[kChunkTiles + 1];
  int warp_sums[kWarps];
};

inline constexpr int kTouched = 1 << 16;
inline constexpr int kCovered = 1;

__device__ __forceinline__ void add_tiles(Counts& counts, int begin, int end, int chunk_tiles, int what) {
  begin = max(begin, 0);
  end = min(end, chunk_tiles);
  if (begin >= end) return;
  atomicAdd(&counts.at[begin], what);
  atomicAdd(&counts.at[end], -what);
}

/// Counts an interval of hidden rows that touches no other of its column.
__device__ __forceinline__ void count_interval(Counts& counts, const Arguments& arguments, Interval rows,
                                               int first_tile, int chunk_tiles) {
  if (rows.start >= rows.end) return;
  add_tiles(counts, rows.start / arguments.tile_q - first_tile, (rows.end - 1) / arguments.tile_q + 1 - first_tile,
            chunk_tiles, kTouched);
  const int covered_end = rows.end == arguments.seqlen_q ? arguments.row_tiles : rows.end / arguments.tile_q;
  add_tiles(counts, divide_up(rows.start, arguments.tile_q) - first_tile, covered_end - first_tile, chunk_tiles,
            kCovered);
}

/// Counts what a key column hides: up to three intervals, two of the form and the one above the diagonal, merged.
__device__ __forceinline__ void count_column(Counts& counts, const Arguments& arguments, long long mask_head, int key,
                                             int first_tile, int chunk_tiles) {
  constexpr int kIntervals = ColumnMask::kIntervals + (config::kHasDiagonal ? 1 : 0);
  Interval rows[kIntervals];
  ColumnMask column;
  const int* bounds = arguments.row_intervals + (mask_head * arguments.seqlen_k + key) * ColumnMask::kVectors;
#pragma unroll
  for (int v = 0; v < ColumnMask::kVectors; ++v) column.at[v] = bounds[v];
#pragma unroll
  for (int i = 0; i < ColumnMask::kIntervals; ++i) rows[i] = {column.start(i), column.end(i)};
  if constexpr (config::kHasDiagonal) {
    const int offset = config::kBottomRight ? arguments.seqlen_k - arguments.seqlen_q : 0;
    rows[kIntervals - 1] = {0, key - offset};
  }
  // Clamped; an empty one goes to the end, where it merges with anything.
#pragma unroll
  for (Interval& interval : rows) {
    interval.start = max(interval.start, 0);
    interval.end = min(interval.end, arguments.seqlen_q);
    if (interval.start >= interval.end) interval = {arguments.seqlen_q, arguments.seqlen_q};
  }
#pragma unroll
  for (int round = 1; round < kIntervals; ++round)
#pragma unroll
    for (int i = 0; i + round < kIntervals; ++i)
      if (rows[i + 1].start < rows[i].start) {
        const Interval later = rows[i];
        rows[i] = rows[i + 1];
        rows[i + 1] = later;
      }
  Interval merged = rows[0];
#pragma unroll
  for (int i = 1; i < kIntervals; ++i) {
    if (rows[i].start <= merged.end) {
      merged.end = max(merged.end, rows[i].end);
    } else {
      count_interval(counts, arguments, merged, first_tile, chunk_tiles);
      merged = rows[i];
    }
  }
  count_interval(counts, arguments, merged, first_tile, chunk_tiles);
}

/// Turns the differences of a chunk into counts; every thread sums up as many neighbours, tiles_per_thread.
__device__ __forceinline__ void sum_up(Counts& counts, int tiles_per_thread) {
  int* own = counts.at + threadIdx.x * tiles_per_thread;
  int total = 0;
  for (int i = 0; i < tiles_per_thread; ++i) total += own[i];
  const int up_to_lane = sum_up_to_lane(total);
  if (lane_of_thread() == 31) counts.warp_sums[warp_of_thread()] = up_to_lane;
  __syncthreads();
  int before = up_to_lane - total;
  for (int warp = 0; warp < warp_of_thread(); ++warp) before += counts.warp_sums[warp];
  for (int i = 0; i < tiles_per_thread; ++i) {
    before += own[i];
    own[i] = before;
  }
  __syncthreads();
}

/// Takes 32 neighbouring tiles into a summary.
__device__ __forceinline__ void take_in(Summary& summary, TileWord word, int first_tile) {
  const unsigned visible = word.partial | word.full;
  if (visible == 0) return;
  summary.first = min(summary.first, first_tile + __ffs(static_cast<int>(visible)) - 1);
  summary.last = max(summary.last, first_tile + 31 - __clz(static_cast<int>(visible)));
  summary.partial += __popc(word.partial);
  summary.full += __popc(word.full);
}

__device__ __forceinline__ void take_in(Summary& summary, const Summary& other) {
  summary.first = min(summary.first, other.first);
  summary.last = max(summary.last, other.last);
  summary.partial += other.partial;
  summary.full += other.full;
}

__device__ __forceinline__ Summary nothing_seen() {
  return {0x7fffffff, -1, 0, 0};
}
__device__ __forceinline__ Summary finished(Summary summary) {
  if (summary.last < 0) summary.first = 0;
  return summary;
}

/// Grid: key tiles x mask heads.
__device__ __forceinline__ void classify(const Arguments& arguments) {
  __shared__ Counts counts;
  __shared__ Summary of_warp[kWarps];
  const int key_tile = static_cast<int>(blockIdx.x);
  const long long mask_head = blockIdx.y;
  const int first_key = key_tile * arguments.tile_k;
  const int columns = min(arguments.tile_k, arguments.seqlen_k - first_key);
  const int words = divide_up(arguments.row_tiles, 32);
  TileWord* classes = arguments.key_classes + (mask_head * arguments.key_tiles + key_tile) * words;
  Summary summary = nothing_seen();
  // For `arrange`, which runs after this kernel.
  if (key_tile == 0 && threadIdx.x == 0) arguments.arrivals[mask_head] = 0;

  for (int first_tile = 0; first_tile < arguments.row_tiles; first_tile += kChunkTiles) {
    const int chunk_tiles = min(kChunkTiles, arguments.row_tiles - first_tile);
    const int tiles_per_thread = divide_up(chunk_tiles, kThreads);
    for (int tile = static_cast<int>(threadIdx.x); tile <= kThreads * tiles_per_thread; tile += kThreads)
      counts.at[tile] = 0;
    __syncthreads();
    for (int column = static_cast<int>(threadIdx.x); column < columns; column += kThreads)
      count_column(counts, arguments, mask_head, first_key + column, first_tile, chunk_tiles);
    __syncthreads();
    sum_up(counts, tiles_per_thread);
    for (int first = warp_of_thread() * 32; first < chunk_tiles; first += kThreads) {
      const int tile = first + lane_of_thread();
      const int count = counts.at[tile];
      const bool exists = tile < chunk_tiles;
      const bool empty = (count & (kTouched - 1)) == columns;
      const bool full = count / kTouched == 0;
      const TileWord word{__ballot_sync(0xffffffffu, exists && !empty && !full),
                          __ballot_sync(0xffffffffu, exists && full)};
      take_in(summary, word, first_tile + first);
      if (lane_of_thread() == 0) classes[(first_tile + first) / 32] = word;
    }
    // The next chunk needs no barrier: each thread clears the counts that it has read itself.
  }

  if (lane_of_thread() == 0) of_warp[warp_of_thread()] = summary;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int warp = 1; warp < kWarps; ++warp) take_in(summary, of_warp[warp]);
    arguments.key_summaries[mask_head * arguments.key_tiles + key_tile] = finished(summary);
  }
}

// ---- Rows of tiles, and the orders ----

/// Highest of the warp's values, in lane 0.
__device__ __forceinline__ long long highest_of_warp(long long value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value = max(value, __shfl_down_sync(0xffffffffu, value, distance));
  return value;
}

/// In quarters of a full tile; a partial one also evaluates the mask.
__device__ __forceinline__ long long cost_of(const Summary& summary) {
  return 4ll * summary.full + 5ll * summary.partial;
}

struct Sorting {
  int places[kBuckets];  // how many there are, then where the next goes
  int warp_sums[kWarps];
  unsigned long long highest;
};

/// The work of `count` summaries, longest first; equal buckets of cost keep their order. By a whole CTA.
__device__ __forceinline__ void sort_work(Sorting& sorting, const Summary* summaries, Work* work, int count) {
  static_assert(kBuckets % kThreads == 0);
  for (int bucket = static_cast<int>(threadIdx.x); bucket < kBuckets; bucket += kThreads) sorting.places[bucket] = 0;
  if (threadIdx.x == 0) sorting.highest = 0;
  __syncthreads();
  long long highest = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) highest = max(highest, cost_of(summaries[i]));
  highest = highest_of_warp(highest);
  if (lane_of_thread() == 0) atomicMax(&sorting.highest, static_cast<unsigned long long>(highest));
  __syncthreads();
  const unsigned long long scale = max(1ull, sorting.highest);
  const auto bucket_of = [scale](const Summary& summary) {
    const auto dividend = static_cast<unsigned long long>(cost_of(summary)) * (kBuckets - 1);
    // A division of 64 bits takes a hundred instructions, and few masks need it.
    return kBuckets - 1 -
           static_cast<int>(scale * (kBuckets - 1) >> 32 == 0
                                ? static_cast<unsigned>(dividend) / static_cast<unsigned>(scale)
                                : dividend / scale);
  };
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads)
    atomicAdd(&sorting.places[bucket_of(summaries[i])], 1);
  __syncthreads();

  constexpr int kOwn = kBuckets / kThreads;
  int* own = sorting.places + threadIdx.x * kOwn;
  int total = 0;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) total += own[i];
  const int up_to_lane = sum_up_to_lane(total);
  if (lane_of_thread() == 31) sorting.warp_sums[warp_of_thread()] = up_to_lane;
  __syncthreads();
  int before = up_to_lane - total;
  for (int warp = 0; warp < warp_of_thread(); ++warp) before += sorting.warp_sums[warp];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int here = own[i];
    own[i] = before;
    before += here;
  }

  // Warps take turns, so that tiles of one bucket keep their order.
  for (int first = 0; first < count; first += kThreads) {
    const int tile = first + static_cast<int>(threadIdx.x);
    const Summary summary = tile < count ? summaries[tile] : Summary{0, -1, 0, 0};
    const int bucket = tile < count ? bucket_of(summary) : -1;
    const unsigned peers = __match_any_sync(0xffffffffu, bucket);
    for (int turn = 0; turn < kWarps; ++turn) {
      __syncthreads();
      if (turn != warp_of_thread()) continue;
      const int place = bucket < 0 ? 0 : sorting.places[bucket];
      __syncwarp();
      if (bucket >= 0) {
        const unsigned below = peers & read_lanes_below();
        if (below == 0) sorting.places[bucket] = place + __popc(peers);
        work[place + __popc(below)] = {tile, summary.first, summary.last, summary.partial + summary.full};
      }
    }
  }
}

/// Grid: (ceil(row tiles / 32) + 1) x mask heads. After `classify`. The CTA of one more sorts the key tiles.
__device__ __forceinline__ void arrange(const Arguments& arguments) {
  __shared__ Summary of_warp[kWarps][32];
  __shared__ Sorting sorting;
  __shared__ bool is_last;
  const int row_word = static_cast<int>(blockIdx.x);
  const long long mask_head = blockIdx.y;
  const int lane = lane_of_thread();
  const int row_words = divide_up(arguments.row_tiles, 32);
  const int key_words = divide_up(arguments.key_tiles, 32);
  const int row_tile = row_word * 32 + lane;
  if (row_word == row_words) {
    sort_work(sorting, arguments.key_summaries + mask_head * arguments.key_tiles,
              arguments.key_work + mask_head * arguments.key_tiles, arguments.key_tiles);
    return;
  }
  TileWord* classes = arguments.row_classes + (mask_head * arguments.row_tiles + row_tile) * key_words;

  // Lane k holds the bits of key tile k; of the words that the ballots make, lane r keeps that of row tile r.
  Summary summary = nothing_seen();
  for (int key_word = warp_of_thread(); key_word < key_words; key_word += kWarps) {
    const int key_tile = key_word * 32 + lane;
    TileWord column{0, 0};
    if (key_tile < arguments.key_tiles)
      column = arguments.key_classes[(mask_head * arguments.key_tiles + key_tile) * row_words + row_word];
    TileWord row{0, 0};
#pragma unroll
    for (int r = 0; r < 32; ++r) {
      const unsigned partial = __ballot_sync(0xffffffffu, column.partial >> r & 1);
      const unsigned full = __ballot_sync(0xffffffffu, column.full >> r & 1);
      if (lane == r) row = {partial, full};
    }
    take_in(summary, row, key_word * 32);
    if (row_tile < arguments.row_tiles) classes[key_word] = row;
  }
  of_warp[warp_of_thread()][lane] = summary;
  __syncthreads();
  if (warp_of_thread() == 0) {
    for (int warp = 1; warp < kWarps; ++warp) take_in(summary, of_warp[warp][lane]);
    if (row_tile < arguments.row_tiles)
      arguments.row_summaries[mask_head * arguments.row_tiles + row_tile] = finished(summary);
    __syncwarp();
    // Both fences are of the lane that counts: what publishes is its arrival, and what acquires is the count that it
    // sees.
    if (lane == 0) {
      __threadfence();
      is_last = static_cast<int>(atomicAdd(arguments.arrivals + mask_head, 1u)) == row_words - 1;
      __threadfence();
    }
  }
  __syncthreads();
  if (!is_last) return;
  sort_work(sorting, arguments.row_summaries + mask_head * arguments.row_tiles,
            arguments.row_work + mask_head * arguments.row_tiles, arguments.row_tiles);
}

}  // namespace flashmask::mask_plan
