#include "runtime/inspect/sass_decode.h"

#include <cstring>

namespace flashmask::sass {
namespace {

/// 128 bits. An instruction has its opcode in bits 0 to 11, of which 9 to 11 say of what sort its operands are, the
/// predicate that guards it in 12 to 15, and for the scheduler 105 and up.
class Bits {
 public:
  explicit Bits(std::span<const std::byte, kInstructionBytes> bytes) {
    std::memcpy(&low_, bytes.data(), sizeof low_);
    std::memcpy(&high_, bytes.data() + sizeof low_, sizeof high_);
  }
  /// `width` < 64, and all of them in one half.
  std::uint64_t field(unsigned first, unsigned width) const {
    const std::uint64_t half = first < 64 ? low_ >> first : high_ >> (first - 64);
    return half & ((std::uint64_t{1} << width) - 1);
  }

 private:
  std::uint64_t low_ = 0, high_ = 0;
};

constexpr std::uint64_t kAlways = 7;  // a predicate: PT, not negated

/// Arithmetic, whose operands may be registers, constants or immediates.
std::optional<SassKind> arithmetic(const Bits& bits) {
  constexpr std::uint64_t kBaseTwo = 2;  // MUFU's function; cosine 0, sine 1, logarithm 3, …
  switch (bits.field(0, 9)) {
    case 0x004:
      return SassKind::kPredicates;
    case 0x008:
      return SassKind::kSelect;
    case 0x009:
      return SassKind::kMaximum;
    case 0x020:
      return SassKind::kMultiply;
    case 0x021:
      return SassKind::kAdd;
    case 0x023:
      return SassKind::kMultiplyAdd;
    case 0x030:
      return SassKind::kHalfAdd;
    case 0x034:
      return SassKind::kHalfCompare;
    case 0x03e:
      return SassKind::kConvert;
    case 0x108:
      return bits.field(74, 4) == kBaseTwo ? SassKind::kExponential : SassKind::kSpecialFunction;
    default:
      return std::nullopt;
  }
}

/// A barrier of the CTA, by what is done at it.
std::optional<SassKind> barrier(const Bits& bits) {
  switch (bits.field(77, 3)) {
    case 0:
      return SassKind::kBarrierSync;
    case 1:
      return SassKind::kBarrierArrive;
    case 2:
      return SassKind::kBarrierReduce;
    default:
      return std::nullopt;
  }
}

/// A branch counts its offset, from the instruction behind it, in words of 4 bytes: 8 bits, and 48 with the sign.
std::int64_t branch_target(const Bits& bits, std::uint64_t address) {
  const std::uint64_t words =
      bits.field(16, 8) | bits.field(34, 30) << 8 | bits.field(64, 17) << 38 | (bits.field(81, 1) ? ~0ull << 55 : 0);
  return static_cast<std::int64_t>(address + kInstructionBytes + words * 4);
}

Instruction branch(const Bits& bits, std::uint64_t address) {
  // Beside the guard it has a predicate of its own and variants that ask whether the warp agrees.
  const bool plain = bits.field(0, 12) == 0x947 && bits.field(32, 2) == 0 && bits.field(85, 2) == 0;
  return {.kind = SassKind::kBranch,
          .value = branch_target(bits, address),
          .flow = Flow::kBranch,
          .conditional = !plain || bits.field(12, 4) != kAlways || bits.field(87, 4) != kAlways};
}

Instruction away(const Bits& bits, std::optional<SassKind> kind) {
  return {
      .kind = kind, .flow = Flow::kAway, .conditional = bits.field(12, 4) != kAlways || bits.field(87, 4) != kAlways};
}

Instruction warpgroup(const Bits& bits) {
  switch (bits.field(79, 2)) {
    case 0:
      return {.kind = SassKind::kArrive};
    case 2:
      return {.kind = SassKind::kWait, .value = static_cast<std::int64_t>(bits.field(72, 3))};
    default:
      return {};
  }
}

}  // namespace

Instruction decode(std::span<const std::byte, kInstructionBytes> bytes, std::uint64_t address) {
  const Bits bits(bytes);
  switch (bits.field(0, 12)) {
    case 0x9f0:
    case 0x9f1:
    case 0x9f2:
    case 0x9f3:
      return {.kind = SassKind::kProductShared};
    case 0xdf0:
    case 0xdf1:
    case 0xdf2:
    case 0xdf3:
      return {.kind = SassKind::kProductRegisters};
    case 0x23c:
      return {.kind = SassKind::kProductWarp};
    case 0x9c5:
      return warpgroup(bits);
    case 0x5a7:
      return {.kind = bits.field(72, 1) ? SassKind::kMbarrierTry : SassKind::kMbarrierTest};
    case 0x9a7:
    case 0x9b0:
      return {.kind = SassKind::kMbarrierArrive};
    case 0x31d:
    case 0x51d:
    case 0x91d:
    case 0xb1d:
      return {.kind = barrier(bits)};
    case 0x983:
      return {.kind = SassKind::kLocalLoad};
    case 0x387:
    case 0x987:
      return {.kind = SassKind::kLocalStore};
    case 0x984:
      return {.kind = SassKind::kSharedLoad};
    case 0x388:
    case 0x988:
      return {.kind = SassKind::kSharedStore};
    case 0x83b:
      return {.kind = SassKind::kMatrixLoad};
    case 0x844:
      return {.kind = SassKind::kMatrixStore};
    case 0x3b4:
    case 0x5b4:
      return {.kind = SassKind::kTensorLoad};
    case 0x3b5:
      return {.kind = SassKind::kTensorStore};
    case 0x3b6:
      return {.kind = SassKind::kTensorReduce};
    case 0x3ba:
      return {.kind = SassKind::kBulkCopy};
    case 0x3bb:
      return {.kind = SassKind::kBulkReduce};
    case 0x3c8:
      return {.kind = SassKind::kRegisterLimit, .value = -1};
    case 0x9c8:
      return {.kind = SassKind::kRegisterLimit, .value = static_cast<std::int64_t>(bits.field(32, 10))};
    case 0x547:
    case 0x947:
      return branch(bits, address);
    case 0x94d:
      return away(bits, SassKind::kExit);
    case 0x949:  // BRX, BRXU
    case 0x958:
    case 0x54a:  // JMP, JMX, JMXU
    case 0x74a:
    case 0x94a:
    case 0xb4a:
    case 0x94c:
    case 0x959:
    case 0x950:  // RET
    case 0x95b:  // KILL
      return away(bits, std::nullopt);
    default:
      return {.kind = arithmetic(bits)};
  }
}

}  // namespace flashmask::sass
