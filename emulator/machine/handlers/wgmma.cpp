#include <cmath>
#include <cstring>

#if defined(__FMA__)
#include <immintrin.h>
#endif

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/fragment.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/lanes.h"
#include "emulator/machine/handlers/warpgroup.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

constexpr std::uint32_t kBlock = 8;  // rows and columns of one accumulator register pair
constexpr std::uint32_t kRows = WarpgroupOperands::kRows;
constexpr std::uint32_t kDepth = MatrixDescriptor::kDepth;

/// One warp's rows of A, and eight columns of B.
using Rows = float[kRows][kDepth];
using Halves = std::uint16_t __attribute__((vector_size(16)));
using Eight = float __attribute__((vector_size(32)));
using Columns = Eight[kDepth];

/// A fragment in registers is that of mma.m16n8k16: four blocks of 8 by 8, rows 0-7 and 8-15 of k 0-7, then of k 8-15.
/// Lane 4g+t holds elements 2t and 2t+1 of row g of a block.
template <class H>
void widen_fragment(const Warp& warp, const std::array<Ref, 4>& fragment, float sign, Rows& a) {
  for (std::uint32_t part = 0; part < 4; ++part) {
    std::uint16_t halves[kBlock][kBlock];
    std::memcpy(halves, warp.lanes<std::uint32_t>(fragment[part]), sizeof(halves));
    for (std::uint32_t row = 0; row < kBlock; ++row) {
      float* target = &a[part % 2 * kBlock + row][part / 2 * kBlock];
#pragma GCC ivdep
      for (std::uint32_t k = 0; k < kBlock; ++k) target[k] = sign * H::widen(halves[row][k]);
    }
  }
}

template <class H>
void widen_rows(const Chunk* chunks, Major major, float sign, Rows& a) {
  for (std::uint32_t i = 0; i < MatrixDescriptor::chunks_of(kRows); ++i) {
    for (std::uint32_t j = 0; j < kBlock; ++j) {
      const std::uint32_t row = major == Major::kK ? i / 2 : i % 2 * kBlock + j;
      const std::uint32_t k = major == Major::kK ? i % 2 * kBlock + j : i / 2;
      a[row][k] = sign * H::widen(chunks[i].at[j]);
    }
  }
}

/// Eight rows of eight become eight columns: interleaving rows i and i+4 rotates the six bits of (row, column) by one,
/// and three rotations exchange the two.
void transpose(Halves (&rows)[kBlock]) {
  for (int turn = 0; turn < 3; ++turn) {
    Halves next[kBlock];
    for (std::uint32_t i = 0; i < kBlock / 2; ++i) {
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    std::memcpy(rows, next, sizeof(next));
  }
}

template <class H>
void widen_columns(const Chunk* chunks, Major major, std::uint32_t blocks, Columns* b) {
  for (std::uint32_t block = 0; block < blocks; ++block) {
    for (std::uint32_t first = 0; first < kDepth; first += kBlock) {
      Halves rows[kBlock];  // eight columns of B for one k
      for (std::uint32_t i = 0; i < kBlock; ++i) {
        const std::uint32_t at =
            major == Major::kMn ? (first + i) * blocks + block : 2 * (block * kBlock + i) + first / kBlock;
        std::memcpy(&rows[i], &chunks[at], sizeof(Halves));
      }
      if (major == Major::kK) transpose(rows);
      std::uint16_t halves[kBlock * kBlock];
      float floats[kBlock * kBlock];
      std::memcpy(halves, rows, sizeof(rows));
#pragma GCC ivdep
      for (std::uint32_t i = 0; i < kBlock * kBlock; ++i) floats[i] = H::widen(halves[i]);
      std::memcpy(&b[block][first], floats, sizeof(floats));
    }
  }
}

/// sum += factor · b, with one rounding.
[[gnu::always_inline]] inline void add_multiple(Eight& sum, float factor, const Eight& b) {
#if defined(__FMA__)
  // GCC 12 makes no vector code of std::fma on registers that live across the loop over k: it would be five times
  // slower.
  sum = _mm256_fmadd_ps(_mm256_set1_ps(factor), b, sum);
#else
  for (std::uint32_t n = 0; n < kBlock; ++n) sum[n] = std::fma(factor, b[n], sum[n]);
#endif
}

/// d += A · B for eight rows and eight columns, whose accumulators are two registers: lane 4g+t holds columns 2t and
/// 2t+1 of row g. Products of halves are exact in a float, and are added in order of k.
void multiply_block(const float (*a)[kDepth], const Columns& b, bool accumulates, float* d0, float* d1) {
  float flat[kBlock * kBlock] = {};
  if (accumulates) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      flat[2 * lane] = d0[lane];
      flat[2 * lane + 1] = d1[lane];
    }
  }
  Eight sum[kBlock];
  std::memcpy(sum, flat, sizeof(sum));
  for (std::uint32_t k = 0; k < kDepth; ++k) {
    for (std::uint32_t row = 0; row < kBlock; ++row) add_multiple(sum[row], a[row][k], b[k]);
  }
  std::memcpy(flat, sum, sizeof(sum));
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    d0[lane] = flat[2 * lane];
    d1[lane] = flat[2 * lane + 1];
  }
}

/// immediate = number of the WarpgroupProduct. Each warp computes its own 16 of the 64 rows.
template <class H>
void multiply(Warp& warp, const Operation& operation) {
  WarpgroupOperands operands;
  if (!read_operands(warp, operation, operands)) return;
  count_product(warp);
  const WarpgroupProduct& product = *operands.product;
  const std::uint32_t blocks = product.columns / kBlock;
  const float sign = product.negates ? -1.0f : 1.0f;
  alignas(32) Rows a;
  alignas(32) Columns b[WarpgroupOperands::kMostColumns / kBlock];
  if (product.a_in_registers) {
    widen_fragment<H>(warp, product.a, sign, a);
  } else {
    widen_rows<H>(operands.a, product.a_major, sign, a);
  }
  widen_columns<H>(operands.b, product.b_major, blocks, b);
  // Per eight columns: two registers of rows 0-7, two of rows 8-15.
  const Ref* d = product.accumulators.data();
  for (std::uint32_t block = 0; block < blocks; ++block) {
    for (std::uint32_t half = 0; half < 2; ++half, d += 2) {
      multiply_block(&a[half * kBlock], b[block], operands.accumulates, warp.lanes<float>(d[0]),
                     warp.lanes<float>(d[1]));
    }
  }
}

void lower(Builder& builder) {
  lower_wgmma(builder, multiply<F16>, multiply<Bf16>);
}

}  // namespace

void add_wgmma(LowerTable& table) {
  table["wgmma"] = lower;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
