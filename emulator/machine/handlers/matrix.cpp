#include <bit>
#include <cstring>

#include "emulator/machine/core/shadow.h"
#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/fragment.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Operand;
using ptx::Type;

constexpr std::uint32_t kRows = 16;
constexpr std::uint32_t kColumns = 8;

/// A fragment register of all lanes is a block of 8 rows by 8 halves, row after row: lane 4g+t holds elements 2t and
/// 2t+1 of row g. That is the layout of A, and of B with its columns as rows.
template <class H>
void widen_block(const std::uint32_t* fragment, float* block) {
  std::uint16_t halves[64];
  std::memcpy(halves, fragment, sizeof(halves));
#pragma GCC ivdep
  for (std::uint32_t i = 0; i < 64; ++i) block[i] = H::widen(halves[i]);
}

/// Accumulators in rows of eight: lane 4g+t holds columns 2t and 2t+1 of row g (first pair) and of row g+8 (second).
struct Accumulator {
  alignas(32) float at[kRows][kColumns];
};

void gather(Accumulator& sum, const float* c0, const float* c1, std::uint32_t row) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    sum.at[row + lane / 4][2 * (lane % 4)] = c0[lane];
    sum.at[row + lane / 4][2 * (lane % 4) + 1] = c1[lane];
  }
}

void scatter(const Accumulator& sum, float* d0, float* d1, std::uint32_t row) {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    d0[lane] = sum.at[row + lane / 4][2 * (lane % 4)];
    d1[lane] = sum.at[row + lane / 4][2 * (lane % 4) + 1];
  }
}

/// sum += A · B for `Depth` in steps of eight. Products of halves are exact in a float.
template <class H, std::uint32_t Blocks>
void multiply(const Warp& warp, const Ref* a, const Ref* b, Accumulator& sum) {
  for (std::uint32_t block = 0; block < Blocks; ++block) {
    alignas(32) float upper[64];
    alignas(32) float lower[64];
    alignas(32) float columns[64];
    alignas(32) float rows[8][kColumns];
    widen_block<H>(warp.lanes<std::uint32_t>(a[2 * block]), upper);
    widen_block<H>(warp.lanes<std::uint32_t>(a[2 * block + 1]), lower);
    widen_block<H>(warp.lanes<std::uint32_t>(b[block]), columns);
    for (std::uint32_t k = 0; k < 8; ++k) {
      for (std::uint32_t n = 0; n < kColumns; ++n) rows[k][n] = columns[n * 8 + k];
    }
    for (std::uint32_t m = 0; m < 8; ++m) {
      float* first = sum.at[m];
      float* second = sum.at[m + 8];
      for (std::uint32_t k = 0; k < 8; ++k) {
        const float x = upper[m * 8 + k];
        const float y = lower[m * 8 + k];
#pragma GCC ivdep
        for (std::uint32_t n = 0; n < kColumns; ++n) {
          first[n] = std::fma(x, rows[k][n], first[n]);
          second[n] = std::fma(y, rows[k][n], second[n]);
        }
      }
    }
  }
}

/// r = d0-3, a…, b…, c0-3
template <class H, std::uint32_t Blocks>
void mma_float(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  count_product(warp);
  const Ref* d = operation.r;
  const Ref* a = operation.r + 4;
  const Ref* b = a + 2 * Blocks;
  const Ref* c = b + Blocks;
  Accumulator sum;
  gather(sum, warp.lanes<float>(c[0]), warp.lanes<float>(c[1]), 0);
  gather(sum, warp.lanes<float>(c[2]), warp.lanes<float>(c[3]), 8);
  multiply<H, Blocks>(warp, a, b, sum);
  scatter(sum, warp.lanes<float>(d[0]), warp.lanes<float>(d[1]), 0);
  scatter(sum, warp.lanes<float>(d[2]), warp.lanes<float>(d[3]), 8);
}

/// r = d0-1, a…, b…, c0-1: pairs of halves accumulate.
template <std::uint32_t Blocks>
void mma_half(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  count_product(warp);
  const Ref* d = operation.r;
  const Ref* a = operation.r + 2;
  const Ref* b = a + 2 * Blocks;
  const Ref* c = b + Blocks;
  Accumulator sum;
  for (std::uint32_t part = 0; part < 2; ++part) widen_block<F16>(warp.lanes<std::uint32_t>(c[part]), sum.at[8 * part]);
  multiply<F16, Blocks>(warp, a, b, sum);
  for (std::uint32_t part = 0; part < 2; ++part) {
    std::uint16_t halves[64];
    for (std::uint32_t i = 0; i < 64; ++i) halves[i] = float_to_f16(sum.at[8 * part + i / 8][i % 8]);
    std::memcpy(warp.lanes<std::uint32_t>(d[part]), halves, sizeof(halves));
  }
}

void take_vector(Builder& builder, std::size_t index, std::size_t count, Type type, bool reads, std::size_t& at) {
  const std::vector<const Operand*> elements = builder.elements(index, count);
  for (const Operand* each : elements) {
    builder.operation.r[at++] = reads ? builder.source(*each, type) : builder.destination(*each, ptx::size_of(type));
  }
}

void lower_mma(Builder& builder) {
  builder.statistics_class("mma");
  if (!builder.take("sync") || !builder.take("aligned")) builder.malformed(".sync.aligned is missing");
  const auto shape = builder.take_one_of({"m16n8k16", "m16n8k8"});
  if (!shape) builder.unsupported("the shapes m16n8k16 and m16n8k8 are known");
  if (!builder.take("row") || !builder.take("col")) builder.unsupported("the layout row.col is known");
  const Type d = builder.type();
  const Type a = builder.type();
  const Type b = builder.type();
  const Type c = builder.type();
  builder.expect_operands(4);
  if (a != b || c != d || (a != Type::kF16 && a != Type::kBf16)) builder.unsupported("f16 or bf16 products are known");
  if (d != Type::kF32 && (d != Type::kF16 || a != Type::kF16)) builder.unsupported("the accumulator is not known");
  const bool deep = *shape == 0;
  const bool wide = d == Type::kF32;
  std::size_t at = 0;
  take_vector(builder, 0, wide ? 4 : 2, wide ? Type::kF32 : Type::kB32, false, at);
  take_vector(builder, 1, deep ? 4 : 2, Type::kB32, true, at);
  take_vector(builder, 2, deep ? 2 : 1, Type::kB32, true, at);
  take_vector(builder, 3, wide ? 4 : 2, wide ? Type::kF32 : Type::kB32, true, at);
  if (!wide) {
    builder.operation.run = deep ? mma_half<2> : mma_half<1>;
  } else if (a == Type::kF16) {
    builder.operation.run = deep ? mma_float<F16, 2> : mma_float<F16, 1>;
  } else {
    builder.operation.run = deep ? mma_float<Bf16, 2> : mma_float<Bf16, 1>;
  }
}

}  // namespace

void add_matrix(LowerTable& table) {
  table["mma"] = lower_mma;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
