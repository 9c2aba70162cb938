#include <cmath>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/fragment.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

/// The elements of a factor, in the order of its fragment.
struct Factor {
  alignas(32) float at[kMostFragmentElements];
};

template <class H>
void widen(const Warp& warp, std::span<const Ref> registers, std::uint32_t count, float* elements) {
  std::uint16_t halves[kMostFragmentElements];
  read_halves(warp, registers, count, halves);
#pragma GCC ivdep
  for (std::uint32_t i = 0; i < count; ++i) elements[i] = H::widen(halves[i]);
}

/// B by rows, whatever its order is.
template <class H>
void widen_rows(const Warp& warp, const WarpProduct& product, Factor& b) {
  const std::uint32_t columns = product.columns;
  Factor given;
  widen<H>(warp, product.b, kFragmentDepth * columns, product.b_by_columns ? given.at : b.at);
  if (!product.b_by_columns) return;
  for (std::uint32_t k = 0; k < kFragmentDepth; ++k) {
    for (std::uint32_t n = 0; n < columns; ++n) b.at[k * columns + n] = given.at[n * kFragmentDepth + k];
  }
}

void narrow(const Warp& warp, std::span<const Ref> registers, std::uint32_t count, const float* sums) {
  std::uint16_t halves[kMostAccumulatorElements];
#pragma GCC ivdep
  for (std::uint32_t i = 0; i < count; ++i) halves[i] = F16::narrow(sums[i]);
  write_halves(warp, registers, count, halves);
}

/// immediate = number of the WarpProduct. As with mma, products are exact and sums are of f32, in order of k.
template <class H>
void multiply(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  count_product(warp);
  const WarpProduct& product = warp.launch->kernel->warp_products[operation.immediate];
  const std::uint32_t rows = product.rows;
  const std::uint32_t columns = product.columns;
  Factor a, b;
  alignas(32) float sums[kMostAccumulatorElements];
  widen<H>(warp, product.a, rows * kFragmentDepth, a.at);
  widen_rows<H>(warp, product, b);
  if (product.c_is_half) {
    widen<F16>(warp, product.c, rows * columns, sums);
  } else {
    read_floats(warp, product.c, sums);
  }
  for (std::uint32_t m = 0; m < rows; ++m) {
    float* sum = sums + m * columns;
    for (std::uint32_t k = 0; k < kFragmentDepth; ++k) {
      const float x = a.at[product.a_by_columns ? k * rows + m : m * kFragmentDepth + k];
      const float* y = b.at + k * columns;
#pragma GCC ivdep
      for (std::uint32_t n = 0; n < columns; ++n) sum[n] = std::fma(x, y[n], sum[n]);
    }
  }
  if (product.d_is_half) {
    narrow(warp, product.d, rows * columns, sums);
  } else {
    write_floats(warp, product.d, sums);
  }
}

void lower(Builder& builder) {
  lower_wmma(builder, multiply<F16>, multiply<Bf16>);
}

}  // namespace

void add_wmma(LowerTable& table) {
  table["wmma"] = lower;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
