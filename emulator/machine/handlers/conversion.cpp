#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/functions.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

enum class Rounding : std::uint8_t { kNearest, kZero, kDown, kUp };
enum Flag : std::uint8_t { kFlush = 1, kSaturate = 2, kIntegral = 4, kRelu = 8 };

// --- the frequent conversions, lane loops without flags
// ---------------------------------------------------------------

template <class D, class A>
struct Cast {
  static D apply(A a) { return static_cast<D>(a); }
};
struct FromF16 {
  static float apply(std::uint16_t a) { return f16_to_float(a); }
};
struct FromBf16 {
  static float apply(std::uint16_t a) { return bf16_to_float(a); }
};
struct ToF16 {
  static std::uint16_t apply(float a) { return float_to_f16(a); }
};
struct ToBf16 {
  static std::uint16_t apply(float a) { return float_to_bf16(a); }
};

template <class D>
Handler integer_cast(std::uint32_t from_bytes, bool is_signed) {
  switch (from_bytes) {
    case 2:
      return is_signed ? unary<D, std::int16_t, Cast<D, std::int16_t>>
                       : unary<D, std::uint16_t, Cast<D, std::uint16_t>>;
    case 4:
      return is_signed ? unary<D, std::int32_t, Cast<D, std::int32_t>>
                       : unary<D, std::uint32_t, Cast<D, std::uint32_t>>;
    default:
      return is_signed ? unary<D, std::int64_t, Cast<D, std::int64_t>>
                       : unary<D, std::uint64_t, Cast<D, std::uint64_t>>;
  }
}

/// A handler for registers as wide as their types and round-to-nearest, or null.
Handler quick_handler(Type to, Type from) {
  const std::uint32_t to_bytes = ptx::size_of(to);
  const std::uint32_t from_bytes = ptx::size_of(from);
  if (!ptx::is_float(to) && !ptx::is_float(from)) {
    if (to_bytes < 2 || from_bytes < 2) return nullptr;
    switch (to_bytes) {
      case 2:
        return integer_cast<std::uint16_t>(from_bytes, ptx::is_signed(from));
      case 4:
        return integer_cast<std::uint32_t>(from_bytes, ptx::is_signed(from));
      default:
        return integer_cast<std::uint64_t>(from_bytes, ptx::is_signed(from));
    }
  }
  if (to == Type::kF32 && from == Type::kF16) return unary<float, std::uint16_t, FromF16>;
  if (to == Type::kF32 && from == Type::kBf16) return unary<float, std::uint16_t, FromBf16>;
  if (to == Type::kF16 && from == Type::kF32) return unary<std::uint16_t, float, ToF16>;
  if (to == Type::kBf16 && from == Type::kF32) return unary<std::uint16_t, float, ToBf16>;
  if (to == Type::kF32 && from == Type::kS32) return unary<float, std::int32_t, Cast<float, std::int32_t>>;
  if (to == Type::kF32 && from == Type::kU32) return unary<float, std::uint32_t, Cast<float, std::uint32_t>>;
  if (to == Type::kF64 && from == Type::kF32) return unary<double, float, Cast<double, float>>;
  if (to == Type::kF32 && from == Type::kF64) return unary<float, double, Cast<float, double>>;
  return nullptr;
}

// --- all others, lane by lane through a value that holds every source exactly
// ------------------------------------------

/// A long double of x86 has 64 bits of mantissa: any integer, any float.
using Exact = long double;

Exact read_lane(const Warp& warp, const Operation& operation, Type type, std::uint32_t register_bytes,
                std::uint32_t lane) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, warp.lanes<std::byte>(operation.r[1]) + std::size_t{lane} * register_bytes, register_bytes);
  switch (type) {
    case Type::kF16:
      return f16_to_float(static_cast<std::uint16_t>(bits));
    case Type::kBf16:
      return bf16_to_float(static_cast<std::uint16_t>(bits));
    case Type::kF32: {
      const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      return (operation.flags & kFlush) != 0 ? flush(value) : value;
    }
    case Type::kF64:
      return std::bit_cast<double>(bits);
    case Type::kS8:
      return static_cast<std::int8_t>(bits);
    case Type::kS16:
      return static_cast<std::int16_t>(bits);
    case Type::kS32:
      return static_cast<std::int32_t>(bits);
    case Type::kS64:
      return static_cast<Exact>(static_cast<std::int64_t>(bits));
    case Type::kU8:
      return static_cast<std::uint8_t>(bits);
    case Type::kU16:
      return static_cast<std::uint16_t>(bits);
    case Type::kU32:
      return static_cast<std::uint32_t>(bits);
    default:
      return static_cast<Exact>(bits);
  }
}

Exact round_integral(Exact value, Rounding rounding) {
  switch (rounding) {
    case Rounding::kZero:
      return std::trunc(value);
    case Rounding::kDown:
      return std::floor(value);
    case Rounding::kUp:
      return std::ceil(value);
    default:
      return std::nearbyint(value);
  }
}

/// Bits of the integer that `value` becomes, sign-extended. Floats are clamped, integers wrap unless `clamps`.
std::uint64_t to_integer(Exact value, Type type, bool clamps) {
  if (value != value) return 0;
  const int bits = static_cast<int>(ptx::size_of(type) * 8);
  const Exact low = ptx::is_signed(type) ? -std::ldexp(Exact{1}, bits - 1) : Exact{0};
  const Exact high = std::ldexp(Exact{1}, ptx::is_signed(type) ? bits - 1 : bits) - 1;
  if (clamps) value = value < low ? low : value > high ? high : value;
  const std::uint64_t whole = value < 0 ? ~static_cast<std::uint64_t>(-value) + 1 : static_cast<std::uint64_t>(value);
  const int unused = 64 - bits;
  if (ptx::is_signed(type)) return static_cast<std::uint64_t>(static_cast<std::int64_t>(whole << unused) >> unused);
  return whole << unused >> unused;
}

std::uint64_t nearest_bits(Exact value, Type type) {
  // To a half by way of a float rounded to odd: then the second rounding is the only one that shows.
  const auto odd = [&] {
    const auto single = static_cast<float>(value);
    if (static_cast<Exact>(single) == value || value != value || std::isinf(single)) return single;
    const auto bits = std::bit_cast<std::uint32_t>(single);
    if ((bits & 1) != 0) return single;
    return std::bit_cast<float>(std::fabs(static_cast<Exact>(single)) < std::fabs(value) ? bits + 1 : bits - 1);
  };
  switch (type) {
    case Type::kF16:
      return float_to_f16(odd());
    case Type::kBf16:
      return float_to_bf16(odd());
    case Type::kF32:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    default:
      return std::bit_cast<std::uint64_t>(static_cast<double>(value));
  }
}

Exact value_of(std::uint64_t bits, Type type) {
  switch (type) {
    case Type::kF16:
      return f16_to_float(static_cast<std::uint16_t>(bits));
    case Type::kBf16:
      return bf16_to_float(static_cast<std::uint16_t>(bits));
    case Type::kF32:
      return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    default:
      return std::bit_cast<double>(bits);
  }
}

/// Rounds to nearest first, then one step back where the mode wants the other neighbour.
std::uint64_t to_float(Exact value, Type type, Rounding rounding) {
  const std::uint64_t bits = nearest_bits(value, type);
  const Exact rounded = value_of(bits, type);
  if (rounding == Rounding::kNearest || rounded != rounded || rounded == value) return bits;
  const bool too_high = rounded > value;
  const bool may_be_high = rounding == Rounding::kUp || (rounding == Rounding::kZero && value < 0);
  if (too_high == may_be_high) return bits;
  const std::uint64_t sign = std::uint64_t{1} << (8 * ptx::size_of(type) - 1);
  const bool up = !too_high;
  if ((bits & ~sign) == 0) return up ? 1 : sign | 1;
  return ((bits & sign) != 0) == up ? bits - 1 : bits + 1;
}

std::uint64_t convert(Exact value, const Operation& operation, Type to, Type from) {
  const auto rounding = static_cast<Rounding>(operation.mode);
  const std::uint8_t flags = operation.flags;
  if (!ptx::is_float(to)) {
    const bool from_float = ptx::is_float(from);
    if (from_float) value = round_integral(value, rounding);
    return to_integer(value, to, from_float || (flags & kSaturate) != 0);
  }
  if ((flags & kIntegral) != 0) value = round_integral(value, rounding);
  if ((flags & kSaturate) != 0) value = saturate(value);
  if ((flags & kRelu) != 0) value = value < 0 ? Exact{0} : value;
  std::uint64_t bits = to_float(value, to, (flags & kIntegral) != 0 ? Rounding::kNearest : rounding);
  if (to == Type::kF32 && (flags & kFlush) != 0) {
    bits = std::bit_cast<std::uint32_t>(flush(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
  }
  return bits;
}

/// count and size = bytes of the result's and the source's register; immediate = both types.
void cvt(Warp& warp, const Operation& operation) {
  const auto to = static_cast<Type>(operation.immediate & 0xff);
  const auto from = static_cast<Type>(operation.immediate >> 8);
  std::byte* d = warp.lanes<std::byte>(operation.r[0]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const Exact value = read_lane(warp, operation, from, operation.size, lane);
    const std::uint64_t bits = convert(value, operation, to, from);
    std::memcpy(d + std::size_t{lane} * operation.count, &bits, operation.count);
  }
}

/// d = {a, b}: two floats to a packed pair, a in the upper half.
template <class H>
void cvt_pair(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const float* high = warp.lanes<float>(operation.r[1]);
  const float* low = warp.lanes<float>(operation.r[2]);
  each_lane(warp.mask,
            [=](std::uint32_t lane) { d[lane] = std::uint32_t{H::narrow(high[lane])} << 16 | H::narrow(low[lane]); });
}

template <class H>
void cvt_pair_flags(Warp& warp, const Operation& operation) {
  constexpr Type kHalf = std::is_same_v<H, F16> ? Type::kF16 : Type::kBf16;
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const float* high = warp.lanes<float>(operation.r[1]);
  const float* low = warp.lanes<float>(operation.r[2]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const std::uint64_t upper = convert(high[lane], operation, kHalf, Type::kF32);
    d[lane] = static_cast<std::uint32_t>(upper << 16 | convert(low[lane], operation, kHalf, Type::kF32));
  }
}

/// .rna.tf32.f32: half away from zero, at bit 13.
void cvt_tf32(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t* a = warp.lanes<std::uint32_t>(operation.r[1]);
  const bool away = operation.mode == 0;
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint32_t bits = a[lane];
    const std::uint32_t half = away ? 0x1000u : 0xfffu + (bits >> 13 & 1);
    d[lane] = (bits & 0x7fffffff) >= 0x7f800000u ? bits : (bits + half) & ~0x1fffu;
  });
}

void take_rounding(Builder& builder) {
  // A float that becomes a whole float says so in the mode: .rni and its kin.
  if (const auto mode = builder.take_one_of({"rn", "rz", "rm", "rp"})) {
    builder.operation.mode = static_cast<std::uint8_t>(*mode);
  } else if (const auto integral = builder.take_one_of({"rni", "rzi", "rmi", "rpi"})) {
    builder.operation.mode = static_cast<std::uint8_t>(*integral);
    builder.operation.flags |= kIntegral;
  }
  if (builder.take("ftz")) builder.operation.flags |= kFlush;
  if (builder.take("sat")) builder.operation.flags |= kSaturate;
  if (builder.take("relu")) builder.operation.flags |= kRelu;
}

Type untyped(std::uint32_t bytes) {
  return bytes == 2 ? Type::kB16 : bytes == 4 ? Type::kB32 : Type::kB64;
}

void lower_cvt(Builder& builder) {
  const bool away = builder.take("rna");
  take_rounding(builder);
  const Type to = builder.type();
  const Type from = builder.type();
  builder.statistics_class("cvt");
  if (to == Type::kF16x2 || to == Type::kBf16x2) {
    if (from != Type::kF32) builder.unsupported("a pair is made of .f32 values only");
    builder.expect_operands(3);
    builder.operation.r[0] = builder.destination(0, 4);
    builder.operation.r[1] = builder.source(1, from);
    builder.operation.r[2] = builder.source(2, from);
    const bool plain = builder.operation.flags == 0 && builder.operation.mode == 0;
    if (to == Type::kF16x2) {
      builder.operation.run = plain ? cvt_pair<F16> : cvt_pair_flags<F16>;
    } else {
      builder.operation.run = plain ? cvt_pair<Bf16> : cvt_pair_flags<Bf16>;
    }
    return;
  }
  builder.expect_operands(2);
  if (to == Type::kTf32) {
    if (from != Type::kF32) builder.malformed(".tf32 is made of .f32");
    builder.operation.mode = away ? 0 : 1;
    builder.operation.r[0] = builder.destination(0, 4);
    builder.operation.r[1] = builder.source(1, from);
    builder.operation.run = cvt_tf32;
    return;
  }
  if (away) builder.unsupported(".rna is known for .tf32 only");
  // Registers of whole numbers may be wider than their types.
  const auto bytes_of = [&](const ptx::Operand& operand, Type type) {
    const std::uint32_t given = builder.register_size(operand);
    const std::uint32_t least = std::max(2u, ptx::size_of(type));
    return ptx::is_float(type) || given < least ? least : given;
  };
  const std::uint32_t from_bytes = bytes_of(builder.operand(1), from);
  const std::uint32_t to_bytes = bytes_of(builder.operand(0), to);
  builder.operation.r[0] = builder.destination(0, to_bytes);
  builder.operation.r[1] = builder.source(1, from_bytes == ptx::size_of(from) ? from : untyped(from_bytes));
  const bool plain = builder.operation.flags == 0 && builder.operation.mode == 0;
  if (plain && to_bytes == ptx::size_of(to) && from_bytes == ptx::size_of(from)) {
    builder.operation.run = quick_handler(to, from);
  }
  if (builder.operation.run != nullptr) return;
  if (to == Type::kPred || from == Type::kPred || ptx::size_of(to) > 8 || ptx::size_of(from) > 8 || to == Type::kTf32 ||
      from == Type::kTf32 || from == Type::kF16x2 || from == Type::kBf16x2) {
    builder.unsupported("this conversion is not known");
  }
  builder.operation.count = static_cast<std::uint8_t>(to_bytes);
  builder.operation.size = static_cast<std::uint8_t>(from_bytes);
  builder.operation.immediate = static_cast<std::uint64_t>(to) | static_cast<std::uint64_t>(from) << 8;
  builder.operation.run = cvt;
}

}  // namespace

void add_conversion(LowerTable& table) {
  table["cvt"] = lower_cvt;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
