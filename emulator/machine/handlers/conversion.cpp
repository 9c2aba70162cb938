#include <algorithm>
#include <cmath>
#include <limits>
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

/// A number format: what lies in a register lane, and the value it stands for.
template <class T>
struct Plain {
  using Element = T;
  using Value = T;
  static Value value(Element element) { return element; }
  static Element element(Value value) { return value; }
};
template <class H>
struct HalfFormat {
  using Element = std::uint16_t;
  using Value = float;
  static Value value(Element element) { return H::widen(element); }
  static Element element(Value value) { return H::narrow(value); }
};
/// A byte sits in a register of 16 bits or more: `Register` is the type of the register.
template <class T, class Register>
struct Narrow {
  using Element = Register;
  using Value = T;
  static Value value(Element element) { return static_cast<T>(element); }
  static Element element(Value value) {
    // Signed results are sign-extended to the register's width.
    return static_cast<Register>(static_cast<std::make_signed_t<Register>>(value));
  }
};

double round_integral(double value, Rounding rounding) {
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

/// The next value of a format, towards +infinity or -infinity.
float step(float value, bool up) {
  return std::nextafter(value, up ? INFINITY : -INFINITY);
}
double step(double value, bool up) {
  return std::nextafter(value, up ? double{INFINITY} : -double{INFINITY});
}
std::uint16_t step(std::uint16_t half, bool up) {
  if ((half & 0x7fff) == 0) return up ? 1 : 0x8001;
  const bool negative = (half & 0x8000) != 0;
  return static_cast<std::uint16_t>(negative == up ? half - 1 : half + 1);
}

/// Rounds `exact` to the format: to nearest first, then one step back where the mode wants the other neighbour.
template <class Format, class Exact>
typename Format::Element round_to(Exact exact, Rounding rounding) {
  using Value = typename Format::Value;
  typename Format::Element result = Format::element(static_cast<Value>(exact));
  if (rounding == Rounding::kNearest) return result;
  const auto rounded = static_cast<long double>(Format::value(result));
  const auto wanted = static_cast<long double>(exact);
  if (rounded != rounded || rounded == wanted) return result;
  const bool too_high = rounded > wanted;
  const bool may_be_high = rounding == Rounding::kUp || (rounding == Rounding::kZero && wanted < 0);
  if (too_high != may_be_high) result = step(result, !too_high);
  return result;
}

template <class Value>
Value flushed(Value value, bool flushes) {
  if constexpr (std::is_same_v<Value, float>) return flushes ? flush(value) : value;
  return value;
}

/// Clamped to the range of the integer; NaN becomes 0.
template <class To>
To clamp_to(double value) {
  constexpr double kLow = static_cast<double>(std::numeric_limits<To>::min());
  // One past the largest value is a power of two, which a double holds.
  const double past = std::ldexp(1.0, std::numeric_limits<To>::digits);
  if (value != value) return 0;
  if (value <= kLow) return std::numeric_limits<To>::min();
  if (value >= past) return std::numeric_limits<To>::max();
  return static_cast<To>(value);
}

template <class To, class From>
To clamp_integer(From value) {
  __extension__ typedef __int128 Signed128;
  const auto wide = static_cast<Signed128>(value);
  if (wide < static_cast<Signed128>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  if (wide > static_cast<Signed128>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  return static_cast<To>(value);
}

template <class To, class From>
typename To::Element convert(typename From::Element element, Rounding rounding, std::uint8_t flags) {
  using Target = typename To::Value;
  using Origin = typename From::Value;
  const Origin value = flushed(From::value(element), (flags & kFlush) != 0);
  if constexpr (std::is_integral_v<Origin> && std::is_integral_v<Target>) {
    return To::element((flags & kSaturate) != 0 ? clamp_integer<Target>(value) : static_cast<Target>(value));
  } else if constexpr (std::is_integral_v<Target>) {
    return To::element(clamp_to<Target>(round_integral(static_cast<double>(value), rounding)));
  } else if constexpr (std::is_integral_v<Origin>) {
    return round_to<To>(value, rounding);
  } else {
    Origin given = value;
    if ((flags & kIntegral) != 0) given = static_cast<Origin>(round_integral(static_cast<double>(given), rounding));
    if ((flags & kSaturate) != 0) given = saturate(given);
    if ((flags & kRelu) != 0) given = given < Origin{0} ? Origin{0} : given;
    typename To::Element result = round_to<To>(given, (flags & kIntegral) != 0 ? Rounding::kNearest : rounding);
    if constexpr (std::is_same_v<typename To::Element, float>) {
      if ((flags & kFlush) != 0) result = flush(result);
    }
    return result;
  }
}

template <class To, class From>
void cvt(Warp& warp, const Operation& operation) {
  auto* d = warp.lanes<typename To::Element>(operation.r[0]);
  const auto* a = warp.lanes<typename From::Element>(operation.r[1]);
  const auto rounding = static_cast<Rounding>(operation.mode);
  const std::uint8_t flags = operation.flags;
  if (rounding == Rounding::kNearest && flags == 0) {
    each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = convert<To, From>(a[lane], Rounding::kNearest, 0); });
  } else {
    each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = convert<To, From>(a[lane], rounding, flags); });
  }
}

/// d = {a, b}: two floats to a packed pair, a in the upper half.
template <class H>
void cvt_pair(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const float* high = warp.lanes<float>(operation.r[1]);
  const float* low = warp.lanes<float>(operation.r[2]);
  const auto rounding = static_cast<Rounding>(operation.mode);
  if (rounding == Rounding::kNearest && operation.flags == 0) {
    each_lane(warp.mask,
              [=](std::uint32_t lane) { d[lane] = std::uint32_t{H::narrow(high[lane])} << 16 | H::narrow(low[lane]); });
    return;
  }
  const std::uint8_t flags = operation.flags;
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint32_t upper = convert<HalfFormat<H>, Plain<float>>(high[lane], rounding, flags);
    d[lane] = upper << 16 | convert<HalfFormat<H>, Plain<float>>(low[lane], rounding, flags);
  });
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

/// The format of `T` in a register of `bytes`, which may be wider, handed to `use`; null when it does not fit.
template <class T, class Use>
Handler in_register(std::uint32_t bytes, Use use) {
  if (bytes == sizeof(T) && sizeof(T) > 1) return use(Plain<T>{});
  if constexpr (sizeof(T) < 2) {
    if (bytes == 2) return use(Narrow<T, std::uint16_t>{});
  }
  if constexpr (sizeof(T) < 4) {
    if (bytes == 4) return use(Narrow<T, std::uint32_t>{});
  }
  if constexpr (sizeof(T) < 8) {
    if (bytes == 8) return use(Narrow<T, std::uint64_t>{});
  }
  return nullptr;
}

template <class Use>
Handler with_format(Type type, std::uint32_t bytes, Use use) {
  switch (type) {
    case Type::kU8:
      return in_register<std::uint8_t>(bytes, use);
    case Type::kS8:
      return in_register<std::int8_t>(bytes, use);
    case Type::kU16:
      return in_register<std::uint16_t>(bytes, use);
    case Type::kS16:
      return in_register<std::int16_t>(bytes, use);
    case Type::kU32:
      return in_register<std::uint32_t>(bytes, use);
    case Type::kS32:
      return in_register<std::int32_t>(bytes, use);
    case Type::kU64:
      return in_register<std::uint64_t>(bytes, use);
    case Type::kS64:
      return in_register<std::int64_t>(bytes, use);
    case Type::kF16:
      return use(HalfFormat<F16>{});
    case Type::kBf16:
      return use(HalfFormat<Bf16>{});
    case Type::kF32:
      return use(Plain<float>{});
    case Type::kF64:
      return use(Plain<double>{});
    default:
      return nullptr;
  }
}

Handler pick(Type to, std::uint32_t to_bytes, Type from, std::uint32_t from_bytes) {
  return with_format(to, to_bytes, [=](auto target) {
    return with_format(from, from_bytes,
                       [](auto origin) -> Handler { return cvt<decltype(target), decltype(origin)>; });
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
    builder.operation.run = to == Type::kF16x2 ? cvt_pair<F16> : cvt_pair<Bf16>;
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
  builder.operation.run = pick(to, to_bytes, from, from_bytes);
  if (builder.operation.run == nullptr) builder.unsupported("this conversion is not known");
}

}  // namespace

void add_conversion(LowerTable& table) {
  table["cvt"] = lower_cvt;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
