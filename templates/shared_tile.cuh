#pragma once

#include "config.cuh"
#include "primitives/async_copy.cuh"
#include "primitives/shared_memory.cuh"

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

 private:
  unsigned address_;
};

/// One thread's part in copying tiles of rows from global to shared memory: one chunk of every kRowStep-th row. A tile
/// is found from the thread's first chunk and the step between its copies, so the loop keeps these two alone.
template <class Tile, int kWidth>
class RowStream {
 public:
  /// `base` is the first row of tile 0; `stride` counts elements from row to row.
  __device__ __forceinline__ RowStream(const void* base, long long stride)
      : step_(2 * stride * kRowStep), first_(static_cast<const char*>(base) + 2 * (row() * stride) + chunk() * 16) {}

  /// Starts the copy of tile `index`, Tile::kHeight rows, by all threads of the CTA together; the caller commits the
  /// group. Rows from `rows` on and columns from kWidth on become zeros.
  __device__ __forceinline__ void copy(Tile tile, int index, int rows) const {
    if (kRowStep * Tile::kChunks < config::kThreads && threadIdx.x >= kRowStep * Tile::kChunks) return;
    const int rows_of_thread = chunk() * 8 < kWidth ? rows - row() : 0;
    const unsigned destination = tile.address(row(), chunk());
    const char* source = first_ + index * (step_ * (Tile::kHeight / kRowStep));
#pragma unroll
    for (int first = 0; first < Tile::kHeight; first += kRowStep) {
      // Steps are powers of two: the swizzle of row first + row() is that of the one flipped by that of the other.
      copy_16_async((destination ^ (Tile::swizzle(first) * 16)) + first * Tile::kChunks * 16, source,
                    first < rows_of_thread ? 16 : 0);
      source += step_;
    }
  }

 private:
  /// The largest power of two of rows, dividing the tile's, for which the CTA has a thread per chunk.
  static __device__ constexpr int row_step() {
    int rows = 1;
    while (2 * rows * Tile::kChunks <= config::kThreads && Tile::kHeight % (2 * rows) == 0) rows *= 2;
    return rows;
  }
  static constexpr int kRowStep = row_step();
  static __device__ __forceinline__ int row() { return threadIdx.x / Tile::kChunks; }
  static __device__ __forceinline__ int chunk() { return threadIdx.x % Tile::kChunks; }

  long long step_;  // bytes from one copy to the next
  const char* first_;
};

}  // namespace flashmask
