#pragma once

#include "config.cuh"
#include "primitives/async_copy.cuh"
#include "primitives/shared_memory.cuh"
#include "primitives/thread.cuh"

namespace flashmask {

/// A tile of 16-bit elements in shared memory, kRows x kColumns, in chunks of 16 bytes. Chunk c of row r lies at chunk
/// r * kChunks + (c ^ swizzle(r)): any eight rows that start at a multiple of eight have their chunks c in different
/// banks, and so have any eight neighbouring chunks. Both ldmatrix and the copies are free of bank conflicts for every
/// multiple of 16 columns.
template <int kRows, int kColumns>
struct SharedTile {
  static_assert(kColumns % 16 == 0 && kRows % 8 == 0);
  static constexpr int kHeight = kRows;
  static constexpr int kChunks = kColumns / 8;
  static constexpr int kBytes = kRows * kColumns * 2;
  // The largest power of two, up to 8, that divides a row's chunks: swizzling stays within groups of this size.
  static constexpr int kGroup = kChunks % 8 == 0 ? 8 : kChunks % 4 == 0 ? 4 : 2;

  unsigned base;

  static __device__ __forceinline__ int swizzle(int row) { return row % 8 / (8 / kGroup); }

  __device__ __forceinline__ unsigned address(int row, int chunk) const {
    return base + (row * kChunks + (chunk ^ swizzle(row))) * 16;
  }
};

/// The addresses of one lane for ldmatrix: the lane's row of a 16-row block and one of two neighbouring chunks. Groups
/// of swizzled chunks are aligned, so the walk over chunk pairs flips address bits and adds constants: one register
/// serves the whole tile.
template <class Tile>
class MatrixCursor {
 public:
  /// `row` (0 to 15) and `half` (0 or 1) of this lane.
  __device__ __forceinline__ MatrixCursor(Tile tile, int row, int half) : address_(tile.address(row, half)) {}

  /// Rows 16 * row_block …, chunks 2 * pair and 2 * pair + 1.
  __device__ __forceinline__ unsigned at(int row_block, int pair) const {
    const int inside = 2 * pair % Tile::kGroup;
    const int outside = 2 * pair - inside;
    return (address_ ^ (inside * 16)) + (row_block * 16 * Tile::kChunks + outside) * 16;
  }
  /// The cursor whose pair 0 is this one's `pair`.
  __device__ __forceinline__ MatrixCursor from_pair(int pair) const { return MatrixCursor(at(0, pair)); }

 private:
  __device__ __forceinline__ explicit MatrixCursor(unsigned address) : address_(address) {}

  unsigned address_;
};

/// The same from some chunk pair on, a multiple of kStep: `at(row_block, pair)` for pairs below kStep.
template <class Tile, int kStep>
class PartCursor {
 public:
  __device__ __forceinline__ PartCursor(const MatrixCursor<Tile>& cursor, int first_pair)
      : cursor_(kKeepsGroups ? cursor.from_pair(first_pair) : cursor), first_pair_(first_pair) {}

  __device__ __forceinline__ unsigned at(int row_block, int pair) const {
    return cursor_.at(row_block, kKeepsGroups ? pair : first_pair_ + pair);
  }

 private:
  // Parts then begin and end at groups of swizzled chunks, or divide them: what the first pair does to the address and
  // what another does never meet in a bit.
  static constexpr bool kKeepsGroups =
      2 * kStep % Tile::kGroup == 0 || (2 * kStep < Tile::kGroup && (kStep & (kStep - 1)) == 0);

  MatrixCursor<Tile> cursor_;
  int first_pair_;
};

/// Copies tiles of rows from global to shared memory by all threads of a CTA together, each thread one chunk of every
/// kRowStep-th row. Holds nothing.
template <class Tile, int kWidth>
class RowCopy {
 public:
  /// Starts the copy of Tile::kHeight rows from `first_row` on; the caller commits the group. `rows` is the number of
  /// rows behind `base`, the address of row 0, `row_bytes` the distance from row to row. Rows past the end and columns
  /// from kWidth on become zeros.
  static __device__ __forceinline__ void start(Tile tile, const void* base, int row_bytes, int first_row, int rows) {
    const int thread = thread_number();
    if (kRowStep * Tile::kChunks < config::kThreads && thread >= kRowStep * Tile::kChunks) return;
    const int row_of_tile = thread / Tile::kChunks;
    const int chunk = thread % Tile::kChunks;
    const int row = first_row + row_of_tile;
    const int rows_left = kWidth == 8 * Tile::kChunks || chunk * 8 < kWidth ? rows - row : 0;
    const unsigned destination = tile.address(row_of_tile, chunk);
    const char* source = static_cast<const char*>(base) + chunk * 16 + static_cast<long long>(row) * row_bytes;
#pragma unroll
    for (int first = 0; first < Tile::kHeight; first += kRowStep) {
      // Steps are powers of two: the swizzle of row first + row is that of the one flipped by that of the other.
      copy_16_async((destination ^ (Tile::swizzle(first) * 16)) + first * Tile::kChunks * 16, source,
                    first < rows_left ? 16 : 0);
      source += static_cast<long long>(kRowStep) * row_bytes;
    }
  }

 private:
  /// Where registers are short, what follows from the number is computed anew at each copy.
  static __device__ __forceinline__ int thread_number() {
    return static_cast<int>(config::kRegistersAreShort ? read_thread() : threadIdx.x);
  }

  /// The largest power of two of rows, dividing the tile's, for which the CTA has a thread per chunk.
  static __device__ constexpr int row_step() {
    int rows = 1;
    while (2 * rows * Tile::kChunks <= config::kThreads && Tile::kHeight % (2 * rows) == 0) rows *= 2;
    return rows;
  }
  static constexpr int kRowStep = row_step();
};

}  // namespace flashmask
