#pragma once

#include "backward_arguments.cuh"
#include "config.cuh"
#include "head_rows.cuh"
#include "primitives/math.cuh"
#include "primitives/mma.cuh"

namespace flashmask {

namespace backward {

/// Sums over groups of kLanes neighbouring lanes.
template <int kLanes>
__device__ __forceinline__ float sum_of_group(float value) {
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

__device__ __forceinline__ float dot(const uint4& a, const uint4& b) {
  const unsigned of_a[4] = {a.x, a.y, a.z, a.w};
  const unsigned of_b[4] = {b.x, b.y, b.z, b.w};
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 left = unpack(of_a[i]);
    const float2 right = unpack(of_b[i]);
    sum = __fmaf_rn(left.x, right.x, sum);
    sum = __fmaf_rn(left.y, right.y, sum);
  }
  return sum;
}

}  // namespace backward

/// What the main kernel needs of a query tile: the terms of its rows, and zeros to add to. A row is read by as many
/// lanes as it has chunks of 16 bytes. Grid: row tiles x query heads x batch.
__device__ __forceinline__ void prepare_backward(const BackwardArguments& arguments) {
  constexpr int kChunks = config::kHeadDimV / 8;
  constexpr int kLanes = kChunks <= 1    ? 1
                         : kChunks <= 2  ? 2
                         : kChunks <= 4  ? 4
                         : kChunks <= 8  ? 8
                         : kChunks <= 16 ? 16
                                         : 32;
  constexpr int kRowsAtOnce = config::kPrepareThreads / kLanes;
  const int row_tile = static_cast<int>(blockIdx.x % arguments.row_tiles);
  const int slice = static_cast<int>(blockIdx.x / arguments.row_tiles);
  const int batch = slice / arguments.num_heads_q;
  const int head = slice % arguments.num_heads_q;
  const int thread = static_cast<int>(threadIdx.x);

  constexpr int kSums = config::kTileQ * config::kPaddedHeadDimQk;
  auto* sums = reinterpret_cast<float4*>(arguments.query_sums + static_cast<long long>(blockIdx.x) * kSums);
#pragma unroll 4
  for (int i = thread; i < kSums / 4; i += config::kPrepareThreads) sums[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if constexpr (config::kDeterministic)
    if (thread < config::kTurns) arguments.turns[static_cast<long long>(blockIdx.x) * config::kTurns + thread] = 0;
  if constexpr (config::kTakesTickets)
    if (thread == 0 && blockIdx.x == 0) *arguments.tickets = 0;

  const char* output = head_rows(arguments.output, arguments.output_strides, batch, head);
  const char* gradient = head_rows(arguments.output_gradient, arguments.output_gradient_strides, batch, head);
  const int chunk = thread % kLanes;
#pragma unroll 4
  for (int first = 0; first < config::kTileQ; first += kRowsAtOnce) {
    const int row_of_tile = first + thread / kLanes;
    const int row = row_tile * config::kTileQ + row_of_tile;
    const bool exists = row_of_tile < config::kTileQ && row < arguments.seqlen_q;
    float sum = 0.0f;
    if (exists && chunk < kChunks)
      sum = backward::dot(
          *reinterpret_cast<const uint4*>(output + row * arguments.output_strides.seqlen * 2 + chunk * 16),
          *reinterpret_cast<const uint4*>(gradient + row * arguments.output_gradient_strides.seqlen * 2 + chunk * 16));
    sum = backward::sum_of_group<kLanes>(sum);
    if (chunk != 0 || row_of_tile >= config::kTileQ) continue;
    RowTerms terms{kInfinity, 0.0f};
    if (exists) {
      const long long place = static_cast<long long>(slice) * arguments.seqlen_q + row;
      const float lse = arguments.lse[place];
      // The gradient of the LSE of a row that sees no key may be anything.
      if (lse != -kInfinity) {
        if (arguments.lse_gradient != nullptr) sum -= arguments.lse_gradient[place];
        terms = {lse * kLog2e, sum};
      }
    }
    RowTerms* of_tile = arguments.row_terms + static_cast<long long>(blockIdx.x) * config::kTileQ;
    if constexpr (config::kTermsApart) {
      auto* shifts = reinterpret_cast<float*>(of_tile);
      shifts[row_of_tile] = terms.shift;
      shifts[config::kTileQ + row_of_tile] = terms.delta;
    } else {
      of_tile[row_of_tile] = terms;
    }
  }
}

}  // namespace flashmask
