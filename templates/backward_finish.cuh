#pragma once

#include "backward_arguments.cuh"
#include "block_sums.cuh"
#include "config.cuh"

namespace flashmask {

namespace backward {

/// Rounds a tile of sums, kColumns wide, to rows; `parts` tiles that lie `stride` elements apart are added up first, in
/// their order. By the warps of a CTA.
template <int kColumns>
__device__ __forceinline__ void round_tile(float* sums, int parts, long long stride, int tile_rows, const RowsOut& rows,
                                           int width, float scale) {
  constexpr int kPairs = kColumns / 16;
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll 2
  for (int unit = static_cast<int>(threadIdx.x / 32); unit < tile_rows / 16 * kPairs;
       unit += config::kFinishThreads / 32) {
    const int row_block = unit / kPairs;
    const int pair = unit % kPairs;
    Accumulator left{}, right{};
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const BlockSums<kColumns> of_part(sums + part * stride, lane);
      const Accumulator more_left = of_part.load(row_block, 2 * pair);
      const Accumulator more_right = of_part.load(row_block, 2 * pair + 1);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        left.at[i] += more_left.at[i];
        right.at[i] += more_right.at[i];
      }
    }
    rows.store(16 * row_block, 16 * pair, width, left, right, scale, lane);
  }
}

}  // namespace backward

/// Turns sums into dQ, and, where groups of query heads are split, into dK and dV. Grid: row tiles x query heads x
/// batch; then, where groups are split, key tiles x key heads x batch for dK and as many for dV.
__device__ __forceinline__ void finish_backward(const BackwardArguments& arguments) {
  const long long row_tiles = static_cast<long long>(arguments.row_tiles) * arguments.num_heads_q * arguments.batch;
  const long long key_tiles = static_cast<long long>(arguments.key_tiles) * arguments.num_heads_kv * arguments.batch;
  long long tile = blockIdx.x;
  if (tile < row_tiles) {
    const int slice = static_cast<int>(tile / arguments.row_tiles);
    const int first_row = static_cast<int>(tile % arguments.row_tiles) * config::kTileQ;
    backward::round_tile<config::kPaddedHeadDimQk>(
        arguments.query_sums + tile * (config::kTileQ * config::kPaddedHeadDimQk), 1, 0, config::kTileQ,
        rows_out(arguments.query_gradient, arguments.query_gradient_strides, slice / arguments.num_heads_q,
                 slice % arguments.num_heads_q, first_row, arguments.seqlen_q),
        config::kHeadDimQk, arguments.softmax_scale);
    return;
  }
  tile -= row_tiles;
  const bool is_key = tile < key_tiles;
  if (!is_key) tile -= key_tiles;
  const int slice = static_cast<int>(tile / arguments.key_tiles);
  const int first_key = static_cast<int>(tile % arguments.key_tiles) * config::kTileK;
  const int batch = slice / arguments.num_heads_kv;
  const int head = slice % arguments.num_heads_kv;
  if (is_key) {
    constexpr int kSums = config::kTileK * config::kPaddedHeadDimQk;
    backward::round_tile<config::kPaddedHeadDimQk>(
        arguments.key_sums + tile * kSums, arguments.splits, key_tiles * kSums, config::kTileK,
        rows_out(arguments.key_gradient, arguments.key_gradient_strides, batch, head, first_key, arguments.seqlen_k),
        config::kHeadDimQk, arguments.softmax_scale);
  } else {
    constexpr int kSums = config::kTileK * config::kPaddedHeadDimV;
    backward::round_tile<config::kPaddedHeadDimV>(arguments.value_sums + tile * kSums, arguments.splits,
                                                  key_tiles * kSums, config::kTileK,
                                                  rows_out(arguments.value_gradient, arguments.value_gradient_strides,
                                                           batch, head, first_key, arguments.seqlen_k),
                                                  config::kHeadDimV, 1.0f);
  }
}

}  // namespace flashmask
