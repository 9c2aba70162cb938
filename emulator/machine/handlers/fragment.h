#pragma once

#include <cstdint>
#include <span>

#include "emulator/machine/lowering/builder.h"

namespace flashmask::emulator {

// The fragments of wmma. PTX leaves open which lane holds which element; here the elements of a fragment are numbered,
// those of A and B in the order of memory, those of C and D by rows, and element 64i + 2·lane + j is
//
//   the j-th half of register i,         in a fragment of halves;
//   register 2i + j,                     in one of floats.
//
// So halves and floats of one matrix lie alike. A fragment with room for more elements holds all of them again.

constexpr std::uint32_t kFragmentDepth = 16;  ///< columns of A, rows of B
constexpr std::uint32_t kMostFragmentElements = 512;
constexpr std::uint32_t kMostAccumulatorElements = 256;

/// Copies `count` elements, a multiple of 64, out of a fragment.
void read_halves(const Warp& warp, std::span<const Ref> registers, std::uint32_t count, std::uint16_t* elements);
void read_floats(const Warp& warp, std::span<const Ref> registers, float* elements);
/// Fills a whole fragment with `count` elements, again and again.
void write_halves(const Warp& warp, std::span<const Ref> registers, std::uint32_t count, const std::uint16_t* elements);
void write_floats(const Warp& warp, std::span<const Ref> registers, const float* elements);

/// Counts a product of one warp in the statistics.
void count_product(const Warp& warp);

/// wmma.*; the handlers multiply f16 and bf16.
void lower_wmma(Builder& builder, Handler f16_product, Handler bf16_product);

}  // namespace flashmask::emulator
