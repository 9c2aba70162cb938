#include "emulator/machine/handlers/warpgroup.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/handlers/fragment.h"
#include "emulator/machine/handlers/memory_access.h"

namespace flashmask::emulator {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

constexpr std::uint32_t kWarps = 4;  // of a warpgroup
constexpr std::uint32_t kColumnStep = 8;

/// Lets the product own `count` rows of A, or columns of B, in shared memory, and reads those from `first` on, of which
/// it needs `needed`. As long as it owns them nobody may write them, so that the moment of reading cannot be seen.
void read_matrix(Warp& warp, const MatrixDescriptor& descriptor, std::uint32_t count, std::uint32_t first,
                 std::uint32_t needed, Chunk* chunks) {
  std::uint32_t addresses[MatrixDescriptor::chunks_of(WarpgroupOperands::kMostColumns)];
  const std::span<std::uint32_t> all(addresses, MatrixDescriptor::chunks_of(count));
  descriptor.chunk_addresses(0, count, all);
  for (const std::uint32_t address : all) require_readable_shared(warp, 0, address, MatrixDescriptor::kChunkBytes);
  claim_chunks(warp, all);
  const std::span<std::uint32_t> own(addresses, MatrixDescriptor::chunks_of(needed));
  if (needed != count) descriptor.chunk_addresses(first, needed, own);
  for (std::size_t i = 0; i < own.size(); ++i) std::memcpy(&chunks[i], warp.cta->shared.data() + own[i], sizeof(Chunk));
}

/// The descriptor in `ref`, which all lanes agree about.
MatrixDescriptor descriptor_of(const Warp& warp, Ref ref, Major major, char name) {
  const std::uint64_t* bits = warp.lanes<std::uint64_t>(ref);
  for (std::uint32_t lane = 1; lane < kLanes; ++lane) {
    if (bits[lane] == bits[0]) continue;
    warp.fault(Fault::Kind::kDescriptor, lane,
               fmt::format("the matrix descriptor of {} is {:#018x} here and {:#018x} in lane 0; all threads of a "
                           "warpgroup must give the same one",
                           name, bits[lane], bits[0]));
  }
  const MatrixDescriptor descriptor(bits[0], major);
  if (const std::string rule = descriptor.broken_rule(); !rule.empty()) {
    warp.fault(Fault::Kind::kDescriptor, 0, fmt::format("operand {}: {}", name, rule));
  }
  return descriptor;
}

/// A warpgroup is four warps, the first of which has a multiple of four for its number.
void check_warpgroup(const Warp& warp) {
  const std::uint32_t first = warp.index / kWarps * kWarps;
  const std::size_t warps = warp.cta->warps.size();
  if (first + kWarps <= warps) return;
  warp.fault(
      Fault::Kind::kBarrier, 0,
      fmt::format("a warpgroup is warps {} to {}, but the CTA has {} warps; its threads must be a multiple of 128",
                  first, first + kWarps - 1, warps));
}

bool accumulates(const Warp& warp, Ref ref) {
  const std::uint32_t bits = warp.predicate(ref);
  if (bits != 0 && bits != kAllLanes) {
    warp.fault(
        Fault::Kind::kDescriptor, static_cast<std::uint32_t>(std::countr_zero(~bits)),
        fmt::format("scale-d is true in lanes {:#010x} only; all threads of a warpgroup must give the same", bits));
  }
  return bits != 0;
}

/// mode = WarpgroupOrdering.
void run_ordering(Warp& warp, const Operation& operation) {
  if (!converge(warp, kAllLanes)) return;
  check_warpgroup(warp);
  switch (static_cast<WarpgroupOrdering>(operation.mode)) {
    case WarpgroupOrdering::kFence:
      return fence_products(warp);
    case WarpgroupOrdering::kCommitGroup:
      return commit_products(warp);
    case WarpgroupOrdering::kWaitGroup:
      return wait_for_products(warp, operation.immediate);
  }
}

// --- lowering --------------------------------------------------------------------------------------------------------

std::uint32_t take_columns(Builder& builder) {
  for (std::uint32_t n = kColumnStep; n <= WarpgroupOperands::kMostColumns; n += kColumnStep) {
    if (builder.take(fmt::format("m64n{}k16", n))) return n;
  }
  builder.unsupported("the shapes m64nNk16 are known, with N a multiple of 8 from 8 to 256");
}

bool take_sign(Builder& builder, std::size_t index) {
  const std::uint64_t value = builder.integer(index);
  if (value != 1 && value != ~std::uint64_t{0}) {
    builder.malformed(fmt::format("operand {} scales a factor: 1 or -1 is allowed", index + 1));
  }
  return value != 1;
}

Major take_major(Builder& builder, std::size_t index) {
  const std::uint64_t value = builder.integer(index);
  if (value > 1) {
    builder.malformed(fmt::format("operand {} transposes a factor: 0 (k is contiguous) or 1 is allowed", index + 1));
  }
  return value == 0 ? Major::kK : Major::kMn;
}

std::vector<Ref> take_accumulators(Builder& builder, std::uint32_t columns) {
  std::vector<Ref> registers;
  for (const Operand* each : builder.elements(0, columns / 2)) {
    if (each->kind != Operand::Kind::kRegister) builder.malformed("every accumulator is a register");
    const Ref ref = builder.destination(*each, ptx::size_of(Type::kF32));
    if (std::find(registers.begin(), registers.end(), ref) != registers.end()) {
      builder.malformed("the register " + each->name + " is two accumulators");
    }
    registers.push_back(ref);
  }
  return registers;
}

Ref take_scale(Builder& builder, std::size_t index) {
  if (builder.is_integer(index) && builder.integer(index) > 1) {
    builder.malformed("scale-d is a predicate, 0 (D = A*B) or 1 (D = A*B + D)");
  }
  return builder.predicate_source(builder.operand(index));
}

/// D, A, B, scale-d, imm-scale-a, imm-scale-b[, imm-trans-a], imm-trans-b; with A in registers there is no imm-trans-a.
void lower_product(Builder& builder, Handler f16_product, Handler bf16_product) {
  builder.statistics_class("wgmma");
  if (builder.take("sp")) builder.unsupported("sparse products are not known");
  const std::uint32_t columns = take_columns(builder);
  const Type d = builder.type();
  const Type a = builder.type();
  const Type b = builder.type();
  if (d != Type::kF32 || a != b || (a != Type::kF16 && a != Type::kBf16)) {
    builder.unsupported("products of f16 by f16 or bf16 by bf16 with accumulators of f32 are known");
  }
  builder.keep_own_registers();
  builder.kernel().track_registers();
  WarpgroupProduct product;
  product.columns = columns;
  product.a_in_registers = builder.operands() > 1 && builder.operand(1).kind == Operand::Kind::kVector;
  builder.expect_operands(product.a_in_registers ? 7 : 8);
  product.accumulators = take_accumulators(builder, columns);
  if (product.a_in_registers) {
    std::size_t at = 0;
    for (const Operand* each : builder.elements(1, 4)) {
      if (each->kind != Operand::Kind::kRegister) builder.malformed("every element of A is a register");
      product.a[at++] = builder.source(*each, Type::kB32);
    }
  } else {
    product.a[0] = builder.source(1, Type::kB64);
    product.a_major = take_major(builder, 6);
  }
  product.b = builder.source(2, Type::kB64);
  product.accumulates = take_scale(builder, 3);
  product.negates = take_sign(builder, 4) != take_sign(builder, 5);
  product.b_major = take_major(builder, builder.operands() - 1);
  builder.operation.immediate = builder.kernel().add_product(std::move(product));
  builder.operation.run = a == Type::kF16 ? f16_product : bf16_product;
}

void lower_ordering(Builder& builder, WarpgroupOrdering ordering) {
  builder.statistics_class("wgmma");
  builder.operation.mode = static_cast<std::uint8_t>(ordering);
  builder.operation.run = run_ordering;
  if (ordering != WarpgroupOrdering::kWaitGroup) return builder.expect_operands(0);
  builder.expect_operands(1);
  builder.operation.immediate = builder.integer(0);
}

}  // namespace

bool read_operands(Warp& warp, const Operation& operation, WarpgroupOperands& operands) {
  if (!converge(warp, kAllLanes)) return false;
  check_warpgroup(warp);
  const WarpgroupProduct& product = warp.launch->kernel->products[operation.immediate];
  operands.product = &product;
  count_product(warp);
  operands.accumulates = accumulates(warp, product.accumulates);
  const std::uint64_t a_bits = product.a_in_registers ? 0 : warp.lanes<std::uint64_t>(product.a[0])[0];
  const std::span<const Ref> fragment(product.a.data(), product.a_in_registers ? product.a.size() : 0);
  issue_product(warp, {product.accumulators, fragment}, product.columns, a_bits,
                warp.lanes<std::uint64_t>(product.b)[0]);
  if (!product.a_in_registers) {
    const MatrixDescriptor a = descriptor_of(warp, product.a[0], product.a_major, 'A');
    // No warp is promised to read its own rows alone: each of the four stands for the whole warpgroup.
    constexpr std::uint32_t kRows = WarpgroupOperands::kRows;
    read_matrix(warp, a, kWarps * kRows, warp.index % kWarps * kRows, kRows, operands.a);
  }
  const MatrixDescriptor b = descriptor_of(warp, product.b, product.b_major, 'B');
  read_matrix(warp, b, product.columns, 0, product.columns, operands.b);
  return true;
}

void lower_wgmma(Builder& builder, Handler f16_product, Handler bf16_product) {
  const std::string& target = builder.kernel().target();
  if (!target.starts_with("sm_90a")) {
    builder.unsupported("it needs the target sm_90a, but the module is for " + target);
  }
  if (!builder.take("sync") || !builder.take("aligned")) builder.malformed(".sync.aligned is missing");
  const auto kind = builder.take_one_of({"fence", "commit_group", "wait_group", "mma_async"});
  if (!kind) builder.unsupported("mma_async, fence, commit_group and wait_group are known");
  if (*kind == 3) return lower_product(builder, f16_product, bf16_product);
  lower_ordering(builder, static_cast<WarpgroupOrdering>(*kind));
}

}  // namespace flashmask::emulator
