#pragma once

#include <cstdint>

#include "emulator/ptx/type.h"

namespace flashmask::emulator {

struct Warp;
struct Operation;

/// Runs one operation for the lanes in Warp::mask, of which there is at least one.
using Handler = void (*)(Warp&, const Operation&);
/// Compares two operands: one bit per lane.
using Comparison = std::uint32_t (*)(const Warp&, std::uint32_t first, std::uint32_t second);

/// Where an operand lies: an offset into the registers of the warp, or into the constants of the kernel.
using Ref = std::uint32_t;
constexpr Ref kConstantBit = 1u << 31;
/// On a predicate that is read: its complement.
constexpr Ref kNegatedBit = 1u << 30;
constexpr Ref kOffsetMask = kNegatedBit - 1;
/// No operand, or the sink '_'.
constexpr Ref kNoRef = ~0u;

/// How an instruction orders others around it.
enum OrderFlag : std::uint8_t { kAcquires = 1, kReleases = 2 };

/// One instruction, ready to run. What `r`, `flags` and `immediate` mean is up to the handler.
struct Operation {
  static constexpr int kMostOperands = 16;

  Handler run = nullptr;
  Comparison compare = nullptr;        ///< of setp and set
  Comparison compare_upper = nullptr;  ///< the same for the upper half of a packed pair
  Ref guard = kNoRef;                  ///< kNegatedBit for @!p
  std::uint32_t line = 0;
  std::uint64_t immediate = 0;
  std::uint32_t second_offset = 0;  ///< of an instruction with two addresses
  std::uint16_t statistics_class = 0;
  std::uint8_t count = 1;  ///< elements of a vector access
  std::uint8_t size = 0;   ///< bytes of one element
  ptx::Space space = ptx::Space::kGeneric;
  std::uint8_t wide = 0;    ///< the address register has 64 bits
  std::uint8_t mode = 0;    ///< family's own: rounding, comparison, shuffle kind …
  std::uint8_t flags = 0;   ///< family's own
  std::uint8_t access = 0;  ///< AccessFlag bits of its accesses: strong, scope, constant
  std::uint8_t order = 0;   ///< OrderFlag bits
  Ref address = kNoRef;     ///< base register of an address; immediate is the offset
  Ref r[kMostOperands] = {kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef,
                          kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef, kNoRef};
};

}  // namespace flashmask::emulator
