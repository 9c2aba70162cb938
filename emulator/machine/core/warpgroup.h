#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flashmask::emulator {

struct Cta;
struct Warp;

/// The registers that a wgmma uses, as offsets in the registers of the warp.
struct ProductRegisters {
  std::span<const std::uint32_t> accumulators;
  std::span<const std::uint32_t> inputs;  ///< fragments of A
};

/// The wgmma of one warp that have not been waited for, and whose registers and bytes they own.
struct WarpgroupPart {
  struct Group {
    std::vector<std::uint32_t> granules;  ///< of 16 bytes of shared memory, read
    std::vector<std::uint32_t> accumulators;
    std::vector<std::uint32_t> inputs;
    std::uint32_t operation = 0;
  };
  Group open;
  std::vector<Group> committed;
  /// By register: what is going on with it.
  std::vector<std::uint8_t> registers;
  std::vector<std::uint16_t> widths;  ///< N of the product that owns an accumulator
  std::uint64_t issued = 0;
};

/// What the four warps of a warpgroup must agree on: the products, in order.
struct Warpgroup {
  struct Product {
    std::uint32_t operation;
    std::uint64_t first;  ///< descriptors, or 0
    std::uint64_t second;
  };
  std::vector<Product> products;
};

/// wgmma.fence: registers touched until here may be used by products.
void fence_products(Warp& warp);
/// A product of N columns takes its registers. Throws Fault{kRegister} for registers that other instructions touched
/// since the last fence, Fault{kPending} for accumulators of a product of another shape in flight, Fault{kBarrier} when
/// the warps of the warpgroup issue different products.
void issue_product(Warp& warp, const ProductRegisters& registers, std::uint32_t n, std::uint64_t first,
                   std::uint64_t second);
/// The product reads the 16 bytes at each of the offsets in shared memory until it has been waited for. Throws
/// Fault{kRace or kProxy} for bytes that were written without an order.
void claim_chunks(Warp& warp, std::span<const std::uint32_t> offsets);
void commit_products(Warp& warp);
/// All committed groups but the newest `remaining` are complete.
void wait_for_products(Warp& warp, std::uint64_t remaining);
/// The warp ends. Throws Fault for products that were not waited for, or that its neighbours did not issue.
void finish_products(Warp& warp);

/// The operation at `pc` is about to touch registers. Throws Fault{kPending} for ones that a product owns.
void check_registers(Warp& warp, std::uint32_t pc);

}  // namespace flashmask::emulator
