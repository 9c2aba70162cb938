#pragma once

#include <cstdint>
#include <span>

#include "emulator/machine/core/warpgroup_product.h"
#include "emulator/machine/lowering/builder.h"

namespace flashmask::emulator {

/// Eight elements that lie side by side in shared memory.
struct Chunk {
  std::uint16_t at[MatrixDescriptor::kChunkElements];
};
static_assert(sizeof(Chunk) == MatrixDescriptor::kChunkBytes);

/// What one warp's part of a wgmma.mma_async reads from shared memory. Chunks stand in the order of
/// MatrixDescriptor::chunk_addresses().
struct WarpgroupOperands {
  static constexpr std::uint32_t kRows = 16;  ///< of A, per warp
  static constexpr std::uint32_t kMostColumns = 256;

  const WarpgroupProduct* product = nullptr;
  bool accumulates = false;
  Chunk a[MatrixDescriptor::chunks_of(kRows)];  ///< unless A is in registers
  Chunk b[MatrixDescriptor::chunks_of(kMostColumns)];
};

/// Waits for the warp to converge, checks the operands and reads them. False while lanes are missing. Throws Fault.
bool read_operands(Warp& warp, const Operation& operation, WarpgroupOperands& operands);

/// wgmma.*; the handlers multiply f16 and bf16.
void lower_wgmma(Builder& builder, Handler f16_product, Handler bf16_product);

}  // namespace flashmask::emulator
