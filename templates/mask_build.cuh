#pragma once

#include "config.cuh"
#include "mask_build_arguments.cuh"

namespace flashmask::mask_build {

// Masks that are written where they are used: startend_row_indices of form C1 (LTS) or F2 (LTS, UTE), from cumulative
// lengths, document ids, or the numbers of a window. A CTA writes a chunk of the keys of a batch entry.
//
// Documents are held as their boundaries: the positions at which one begins, but for 0. From the values in memory only
// boundaries inside of 1 .. seqlen_k - 1 are taken, so that no value, whatever it is, leads to an address.

inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int kWords = kChunkKeys / 32;
static_assert(kWords == 32, "every lane holds a word");
static_assert(kChunkKeys % kThreads == 0, "warps stay together");

/// Keys [first, end) of a batch entry.
struct Chunk {
  long long batch;
  int first;
  int end;
};

__device__ __forceinline__ Chunk chunk_at(const Arguments& arguments, int index) {
  const int first = index * kChunkKeys;
  return {static_cast<long long>(blockIdx.y), first, min(first + kChunkKeys, arguments.seqlen_k)};
}

__device__ __forceinline__ int lane_of_thread() {
  return threadIdx.x % 32;
}

/// The column of a key.
__device__ __forceinline__ int* column_of(const Arguments& arguments, long long batch, int key) {
  return arguments.row_intervals + (batch * arguments.seqlen_k + key) * config::kVectors;
}

/// Rows masked from LTS on and, of form F2, up to UTE.
__device__ __forceinline__ void store_column(const Arguments& arguments, long long batch, int key, int lts, int ute) {
  int* column = column_of(arguments, batch, key);
  lts = min(max(lts, 0), arguments.seqlen_q);
  ute = min(max(ute, 0), arguments.seqlen_q);
  if constexpr (config::kVectors == 2) {
    *reinterpret_cast<int2*>(column) = make_int2(lts, ute);
  } else {
    *column = lts;
  }
}

// ---- Windows ----

/// Grid: chunks x batch.
__device__ __forceinline__ void write_window(const Arguments& arguments) {
  const Chunk chunk = chunk_at(arguments, static_cast<int>(blockIdx.x));
  for (int key = chunk.first + static_cast<int>(threadIdx.x); key < chunk.end; key += kThreads)
    store_column(arguments, chunk.batch, key, key + arguments.lts_shift, key + arguments.ute_shift);
}

// ---- Documents ----

/// Boundaries in a chunk: bit b of word w stands for key 32 w + b of it.
using Boundaries = unsigned[kWords];

/// Position in the chunk of the first and of the last bit of a word that has any.
__device__ __forceinline__ int first_in(unsigned word, int index) {
  return index * 32 + __ffs(static_cast<int>(word)) - 1;
}
__device__ __forceinline__ int last_in(unsigned word, int index) {
  return index * 32 + 31 - __clz(static_cast<int>(word));
}

/// Writes the columns of a chunk. `start_before` is where the document of the key before the chunk begins, and
/// `end_after` where the document of the chunk's last key ends. By a whole CTA.
__device__ __forceinline__ void write_documents(const Arguments& arguments, const Chunk& chunk,
                                                const Boundaries& boundaries, int start_before, int end_after) {
  const int lane = lane_of_thread();
  const int offset = arguments.seqlen_k - arguments.seqlen_q;  // position of row 0
  const unsigned word = boundaries[lane];
  // The keys of a warp lie in one word, whose number is the same for all lanes.
#pragma unroll
  for (int place = static_cast<int>(threadIdx.x); place < kChunkKeys; place += kThreads) {
    const int own = place / 32;
    const unsigned own_word = __shfl_sync(kAllLanes, word, own);
    const unsigned words_before = __ballot_sync(kAllLanes, word != 0 && lane < own);
    const unsigned words_after = __ballot_sync(kAllLanes, word != 0 && lane > own);
    const int before = words_before == 0 ? own : 31 - __clz(static_cast<int>(words_before));
    const int after = words_after == 0 ? own : __ffs(static_cast<int>(words_after)) - 1;
    const unsigned word_before = __shfl_sync(kAllLanes, word, before);
    const unsigned word_after = __shfl_sync(kAllLanes, word, after);

    const unsigned up_to_lane = (2u << lane) - 1;  // of lane 31: all bits
    const unsigned bits_before = own_word & up_to_lane;
    const unsigned bits_after = own_word & ~up_to_lane;
    int start = start_before;
    if (bits_before != 0) {
      start = chunk.first + last_in(bits_before, own);
    } else if (words_before != 0) {
      start = chunk.first + last_in(word_before, before);
    }
    int end = end_after;
    if (bits_after != 0) {
      end = chunk.first + first_in(bits_after, own);
    } else if (words_after != 0) {
      end = chunk.first + first_in(word_after, after);
    }
    const int key = chunk.first + place;
    if (key < chunk.end) store_column(arguments, chunk.batch, key, end - offset, start - offset);
  }
}

/// From cumulative lengths: every CTA looks at all sums of its batch entry. Grid: chunks x batch.
__device__ __forceinline__ void write_from_sums(const Arguments& arguments) {
  __shared__ Boundaries boundaries;
  __shared__ int start_before;
  __shared__ int end_after;
  const Chunk chunk = chunk_at(arguments, static_cast<int>(blockIdx.x));
  const int* sums = arguments.source + chunk.batch * arguments.sums;
  if (threadIdx.x < kWords) boundaries[threadIdx.x] = 0;
  if (threadIdx.x == 0) {
    start_before = 0;
    end_after = arguments.seqlen_k;
  }
  __syncthreads();
  int highest_before = 0;
  int lowest_after = arguments.seqlen_k;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < arguments.sums; i += kThreads) {
    const int sum = __ldg(sums + i);
    if (sum < chunk.first) {
      highest_before = max(highest_before, sum);
    } else if (sum >= chunk.end) {
      lowest_after = min(lowest_after, sum);
    } else {
      const int place = sum - chunk.first;
      atomicOr(&boundaries[place / 32], 1u << (place % 32));
    }
  }
  // Most threads have nothing to tell.
  if (highest_before > 0) atomicMax(&start_before, highest_before);
  if (lowest_after < arguments.seqlen_k) atomicMin(&end_after, lowest_after);
  __syncthreads();
  write_documents(arguments, chunk, boundaries, start_before, end_after);
}

// From document ids, in three launches, each of which reads every value once. Chunks tell each other their boundaries
// through the memory that the last launch fills: the column of a chunk's first key. LTS of it is
//   after `summarise`: the first boundary in the chunk, seqlen_k for none;
//   after `carry`: where the document of the chunk's last key ends;
// and UTE, where documents have starts:
//   after `summarise`: the last boundary in the chunk, 0 for none;
//   after `carry`: where the document of the key before the chunk begins.

/// The boundaries of a chunk, each word by a warp.
__device__ __forceinline__ void find_boundaries(const Arguments& arguments, const Chunk& chunk,
                                                Boundaries& boundaries) {
  const int* ids = arguments.source + chunk.batch * arguments.seqlen_k;
#pragma unroll
  for (int place = static_cast<int>(threadIdx.x); place < kChunkKeys; place += kThreads) {
    const int key = chunk.first + place;
    const bool begins = key > 0 && key < chunk.end && ids[key] != ids[key - 1];
    const unsigned word = __ballot_sync(kAllLanes, begins);
    if (lane_of_thread() == 0) boundaries[place / 32] = word;
  }
}

/// Grid: chunks x batch.
__device__ __forceinline__ void summarise(const Arguments& arguments) {
  __shared__ Boundaries boundaries;
  const Chunk chunk = chunk_at(arguments, static_cast<int>(blockIdx.x));
  find_boundaries(arguments, chunk, boundaries);
  __syncthreads();
  if (threadIdx.x >= 32) return;
  const unsigned word = boundaries[threadIdx.x];
  const unsigned words = __ballot_sync(kAllLanes, word != 0);
  const int lane = lane_of_thread();
  int* column = column_of(arguments, chunk.batch, chunk.first);
  if (words == 0) {
    if (lane == 0) {
      column[0] = arguments.seqlen_k;
      if constexpr (config::kVectors == 2) column[1] = 0;
    }
    return;
  }
  if (lane == __ffs(static_cast<int>(words)) - 1) column[0] = chunk.first + first_in(word, lane);
  if constexpr (config::kVectors == 2) {
    if (lane == 31 - __clz(static_cast<int>(words))) column[1] = chunk.first + last_in(word, lane);
  }
}

/// Grid: 1 x batch, a warp for each vector: the first goes from the last chunk to the first and hands the lowest
/// boundary on, the second the other way with the highest one (as the lowest of negative numbers).
__device__ __forceinline__ void carry(const Arguments& arguments) {
  const bool is_end = threadIdx.x < 32;
  const int lane = lane_of_thread();
  const int chunks = (arguments.seqlen_k + kChunkKeys - 1) / kChunkKeys;
  int carried = is_end ? arguments.seqlen_k : 0;
  for (int first = 0; first < chunks; first += 32) {
    const int turn = first + lane;
    const bool exists = turn < chunks;
    const Chunk chunk = chunk_at(arguments, is_end ? chunks - 1 - turn : turn);
    int* place = column_of(arguments, chunk.batch, chunk.first) + (is_end ? 0 : 1);
    int lowest = is_end ? arguments.seqlen_k : 0;
    if (exists) lowest = is_end ? *place : -*place;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int below = __shfl_up_sync(kAllLanes, lowest, distance);
      if (lane >= distance) lowest = min(lowest, below);
    }
    const int of_lanes_below = __shfl_up_sync(kAllLanes, lowest, 1);
    const int handed = lane == 0 ? carried : min(carried, of_lanes_below);
    if (exists) *place = is_end ? handed : -handed;
    carried = min(carried, __shfl_sync(kAllLanes, lowest, 31));
  }
}

/// Grid: chunks x batch.
__device__ __forceinline__ void write_from_ids(const Arguments& arguments) {
  __shared__ Boundaries boundaries;
  const Chunk chunk = chunk_at(arguments, static_cast<int>(blockIdx.x));
  const int* column = column_of(arguments, chunk.batch, chunk.first);
  const int end_after = column[0];
  int start_before = 0;
  if constexpr (config::kVectors == 2) start_before = column[1];
  find_boundaries(arguments, chunk, boundaries);
  __syncthreads();  // all have read what carry left, too
  write_documents(arguments, chunk, boundaries, start_before, end_after);
}

}  // namespace flashmask::mask_build
