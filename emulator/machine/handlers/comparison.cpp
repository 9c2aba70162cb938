#include <utility>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/functions.h"
#include "emulator/machine/handlers/half.h"
#include "emulator/machine/handlers/lanes.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

// The other comparisons are complements of these, or these with their operands exchanged.
struct Eq {
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool apply(T a, T b) {
    return (a < b) | (a > b);
  }
};
struct Lt {
  template <class T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};
struct Num {
  template <class T>
  static bool apply(T a, T b) {
    return (a == a) & (b == b);
  }
};

/// How a register element becomes a value that can be compared.
template <class T>
struct Same {
  using Element = T;
  static T value(T element) { return element; }
};
struct FlushedFloat {
  using Element = float;
  static float value(float element) { return flush(element); }
};
template <class H>
struct Widened {
  using Element = std::uint16_t;
  static float value(std::uint16_t element) { return H::widen(element); }
};
/// One half of a packed pair.
template <class H, int Shift>
struct WidenedOf {
  using Element = std::uint32_t;
  static float value(std::uint32_t element) { return H::widen(static_cast<std::uint16_t>(element >> Shift)); }
};

/// One bit per lane.
template <class V, class Compare>
std::uint32_t compare_lanes(const Warp& warp, Ref first, Ref second) {
  using E = typename V::Element;
  const E* a = warp.lanes<E>(first);
  const E* b = warp.lanes<E>(second);
  alignas(32) std::int32_t truths[kLanes];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    truths[lane] = Compare::apply(V::value(a[lane]), V::value(b[lane])) ? -1 : 0;
  }
  std::uint32_t bits = 0;
#if defined(__AVX2__)
  for (std::uint32_t i = 0; i < kLanes; i += 8) {
    const __m256i eight = _mm256_load_si256(reinterpret_cast<const __m256i*>(truths + i));
    bits |= static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(eight))) << i;
  }
#else
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) bits |= static_cast<std::uint32_t>(truths[lane] & 1) << lane;
#endif
  return bits;
}

enum Combine : std::uint8_t { kNone, kAnd, kOr, kXor };

std::uint32_t combine(std::uint8_t how, std::uint32_t bits, std::uint32_t other) {
  switch (how) {
    case kAnd:
      return bits & other;
    case kOr:
      return bits | other;
    case kXor:
      return bits ^ other;
    default:
      return bits;
  }
}

std::uint32_t compared(const Warp& warp, const Operation& operation, Comparison compare) {
  const std::uint32_t bits = compare(warp, operation.r[1], operation.r[2]);
  return operation.flags != 0 ? ~bits : bits;
}

/// r = p, a, b, c, q; mode = combination with c; flags = complement. q is the other result, or that of the upper half.
void setp(Warp& warp, const Operation& operation) {
  const std::uint32_t bits = compared(warp, operation, operation.compare);
  const std::uint32_t other = operation.mode == kNone ? 0 : warp.predicate(operation.r[3]);
  const std::uint32_t second =
      operation.compare_upper != nullptr ? compared(warp, operation, operation.compare_upper) : ~bits;
  warp.set_predicate(operation.r[0], combine(operation.mode, bits, other));
  if (operation.r[4] != kNoRef) warp.set_predicate(operation.r[4], combine(operation.mode, second, other));
}

/// A true lane gets `immediate`: all ones or 1.0. In a pair each half has its own truth.
void set(Warp& warp, const Operation& operation) {
  const std::uint32_t other = operation.mode == kNone ? 0 : warp.predicate(operation.r[3]);
  const std::uint32_t bits = combine(operation.mode, compared(warp, operation, operation.compare), other);
  const std::uint32_t upper =
      operation.compare_upper != nullptr ? compared(warp, operation, operation.compare_upper) : bits;
  const auto value = static_cast<std::uint32_t>(operation.immediate);
  if (operation.size == 2) {
    std::uint16_t* d = warp.lanes<std::uint16_t>(operation.r[0]);
    each_lane(warp.mask,
              [=](std::uint32_t lane) { d[lane] = static_cast<std::uint16_t>(bits >> lane & 1 ? value : 0); });
  } else {
    std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
    each_lane(warp.mask, [=](std::uint32_t lane) {
      d[lane] = (bits >> lane & 1 ? value & 0xffff : 0) | (upper >> lane & 1 ? value & 0xffff0000u : 0);
    });
  }
}

/// What to compare, and how to get the named comparison from it.
struct Choice {
  enum Base { kEqual, kNotEqual, kLess, kLessOrEqual, kNumbers } base;
  bool swaps = false;
  bool complements = false;
  bool floats_only = false;
  bool unsigned_only = false;
};

Choice take_comparison(Builder& builder) {
  const auto which = builder.take_one_of({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu",
                                          "ltu", "leu", "gtu", "geu", "num", "nan"});
  if (!which) builder.malformed("a comparison is missing");
  static constexpr Choice kChoices[] = {
      {Choice::kEqual},
      {Choice::kNotEqual},
      {Choice::kLess},
      {Choice::kLessOrEqual},
      {Choice::kLess, true},
      {Choice::kLessOrEqual, true},
      {Choice::kLess, false, false, false, true},
      {Choice::kLessOrEqual, false, false, false, true},
      {Choice::kLess, true, false, false, true},
      {Choice::kLessOrEqual, true, false, false, true},
      // The unordered kinds hold as well when an operand is a NaN: a <u b is not (b <= a).
      {Choice::kNotEqual, false, true, true},
      {Choice::kEqual, false, true, true},
      {Choice::kLessOrEqual, true, true, true},
      {Choice::kLess, true, true, true},
      {Choice::kLessOrEqual, false, true, true},
      {Choice::kLess, false, true, true},
      {Choice::kNumbers, false, false, true},
      {Choice::kNumbers, false, true, true},
  };
  return kChoices[*which];
}

template <class V>
Comparison of_base(Choice::Base base) {
  switch (base) {
    case Choice::kEqual:
      return compare_lanes<V, Eq>;
    case Choice::kNotEqual:
      return compare_lanes<V, Ne>;
    case Choice::kLess:
      return compare_lanes<V, Lt>;
    case Choice::kLessOrEqual:
      return compare_lanes<V, Le>;
    default:
      return compare_lanes<V, Num>;
  }
}

void pick(Builder& builder, Type type, bool flushes, const Choice& choice) {
  Operation& operation = builder.operation;
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      operation.compare = of_base<Same<std::uint16_t>>(choice.base);
      break;
    case Type::kB32:
    case Type::kU32:
      operation.compare = of_base<Same<std::uint32_t>>(choice.base);
      break;
    case Type::kB64:
    case Type::kU64:
      operation.compare = of_base<Same<std::uint64_t>>(choice.base);
      break;
    case Type::kS16:
      operation.compare = of_base<Same<std::int16_t>>(choice.base);
      break;
    case Type::kS32:
      operation.compare = of_base<Same<std::int32_t>>(choice.base);
      break;
    case Type::kS64:
      operation.compare = of_base<Same<std::int64_t>>(choice.base);
      break;
    case Type::kF32:
      operation.compare = flushes ? of_base<FlushedFloat>(choice.base) : of_base<Same<float>>(choice.base);
      break;
    case Type::kF64:
      operation.compare = of_base<Same<double>>(choice.base);
      break;
    case Type::kF16:
      operation.compare = of_base<Widened<F16>>(choice.base);
      break;
    case Type::kBf16:
      operation.compare = of_base<Widened<Bf16>>(choice.base);
      break;
    case Type::kF16x2:
      operation.compare = of_base<WidenedOf<F16, 0>>(choice.base);
      operation.compare_upper = of_base<WidenedOf<F16, 16>>(choice.base);
      break;
    case Type::kBf16x2:
      operation.compare = of_base<WidenedOf<Bf16, 0>>(choice.base);
      operation.compare_upper = of_base<WidenedOf<Bf16, 16>>(choice.base);
      break;
    default:
      builder.unsupported("the type ." + std::string(ptx::name_of(type)) + " is not known here");
  }
  const bool floats = ptx::is_float(type);
  if ((choice.floats_only && !floats) || (choice.unsigned_only && (floats || ptx::is_signed(type)))) {
    builder.malformed("the type has no such comparison");
  }
  operation.flags = choice.complements ? 1 : 0;
  if (choice.swaps) std::swap(operation.r[1], operation.r[2]);
}

Type bits_of(Type type) {
  // Halves are compared in untyped registers.
  if (type == Type::kF16 || type == Type::kBf16) return Type::kB16;
  if (type == Type::kF16x2 || type == Type::kBf16x2) return Type::kB32;
  return type;
}

void take_combination(Builder& builder) {
  if (const auto combination = builder.take_one_of({"and", "or", "xor"})) {
    builder.operation.mode = static_cast<std::uint8_t>(*combination + 1);
  }
}

void lower_setp(Builder& builder) {
  const Choice choice = take_comparison(builder);
  take_combination(builder);
  const bool combines = builder.operation.mode != kNone;
  const bool flushes = builder.take("ftz");
  const Type type = builder.type();
  builder.expect_operands(combines ? 4 : 3);
  const ptx::Operand& target = builder.operand(0);
  if (target.kind == ptx::Operand::Kind::kPair) {
    builder.operation.r[0] = builder.predicate_destination(target.elements[0]);
    builder.operation.r[4] = builder.predicate_destination(target.elements[1]);
  } else {
    builder.operation.r[0] = builder.predicate_destination(target);
  }
  builder.operation.r[1] = builder.source(1, bits_of(type));
  builder.operation.r[2] = builder.source(2, bits_of(type));
  if (combines) builder.operation.r[3] = builder.predicate_source(builder.operand(3));
  pick(builder, type, flushes, choice);
  builder.operation.run = setp;
}

void lower_set(Builder& builder) {
  const Choice choice = take_comparison(builder);
  take_combination(builder);
  const bool combines = builder.operation.mode != kNone;
  const bool flushes = builder.take("ftz");
  const Type result = builder.type();
  const Type type = builder.type();
  const bool pair = type == Type::kF16x2 || type == Type::kBf16x2;
  if (pair && combines) builder.unsupported("a combined comparison of pairs is not known");
  builder.expect_operands(combines ? 4 : 3);
  builder.operation.size = static_cast<std::uint8_t>(ptx::size_of(result));
  builder.operation.r[0] = builder.destination(0, ptx::size_of(result));
  builder.operation.r[1] = builder.source(1, bits_of(type));
  builder.operation.r[2] = builder.source(2, bits_of(type));
  if (combines) builder.operation.r[3] = builder.predicate_source(builder.operand(3));
  switch (result) {
    case Type::kF32:
      builder.operation.immediate = 0x3f800000u;
      break;
    case Type::kF16:
      builder.operation.immediate = 0x3c00;
      break;
    case Type::kBf16:
      builder.operation.immediate = 0x3f80;
      break;
    case Type::kF16x2:
      builder.operation.immediate = 0x3c003c00u;
      break;
    case Type::kBf16x2:
      builder.operation.immediate = 0x3f803f80u;
      break;
    case Type::kU16:
    case Type::kS16:
      builder.operation.immediate = 0xffff;
      break;
    case Type::kU32:
    case Type::kS32:
      builder.operation.immediate = ~0u;
      break;
    default:
      builder.unsupported("the type of the result is not known here");
  }
  pick(builder, type, flushes, choice);
  builder.operation.run = set;
}

template <class T>
void selp(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  const std::uint32_t chosen = warp.predicate(operation.r[3]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = (chosen >> lane & 1) != 0 ? a[lane] : b[lane]; });
}

void lower_selp(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(4);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, type);
  builder.operation.r[3] = builder.predicate_source(builder.operand(3));
  switch (ptx::size_of(type)) {
    case 2:
      builder.operation.run = selp<std::uint16_t>;
      break;
    case 4:
      builder.operation.run = selp<std::uint32_t>;
      break;
    case 8:
      builder.operation.run = selp<std::uint64_t>;
      break;
    default:
      builder.malformed("16, 32 or 64 bits were expected");
  }
}

/// d = c >= 0 ? a : b
template <class T, class C>
void slct(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  const C* c = warp.lanes<C>(operation.r[3]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = c[lane] >= 0 ? a[lane] : b[lane]; });
}

void lower_slct(Builder& builder) {
  builder.take("ftz");
  const Type type = builder.type();
  const Type condition = builder.type();
  if (condition != Type::kS32 && condition != Type::kF32) builder.malformed("the condition is .s32 or .f32");
  builder.expect_operands(4);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, type);
  builder.operation.r[3] = builder.source(3, condition);
  const bool integer = condition == Type::kS32;
  switch (ptx::size_of(type)) {
    case 2:
      builder.operation.run = integer ? slct<std::uint16_t, std::int32_t> : slct<std::uint16_t, float>;
      break;
    case 4:
      builder.operation.run = integer ? slct<std::uint32_t, std::int32_t> : slct<std::uint32_t, float>;
      break;
    case 8:
      builder.operation.run = integer ? slct<std::uint64_t, std::int32_t> : slct<std::uint64_t, float>;
      break;
    default:
      builder.malformed("16, 32 or 64 bits were expected");
  }
}

template <class T>
bool test_class(int kind, T value) {
  switch (kind) {
    case 0:
      return std::isfinite(value);
    case 1:
      return std::isinf(value);
    case 2:
      return !std::isnan(value);
    case 3:
      return std::isnan(value);
    case 4:
      return std::isnormal(value);
    default:
      return std::fpclassify(value) == FP_SUBNORMAL;
  }
}

template <class T>
void testp(Warp& warp, const Operation& operation) {
  const T* a = warp.lanes<T>(operation.r[1]);
  std::uint32_t bits = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) bits |= (test_class(operation.mode, a[lane]) ? 1u : 0u) << lane;
  warp.set_predicate(operation.r[0], bits);
}

void lower_testp(Builder& builder) {
  const auto kind = builder.take_one_of({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (!kind) builder.malformed("a class of numbers is missing");
  const Type type = builder.type();
  builder.expect_operands(2);
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  builder.operation.r[0] = builder.predicate_destination(builder.operand(0));
  builder.operation.r[1] = builder.source(1, type);
  if (type == Type::kF32) {
    builder.operation.run = testp<float>;
  } else if (type == Type::kF64) {
    builder.operation.run = testp<double>;
  } else {
    builder.malformed(".f32 or .f64 was expected");
  }
}

}  // namespace

void add_comparison(LowerTable& table) {
  table["setp"] = lower_setp;
  table["set"] = lower_set;
  table["selp"] = lower_selp;
  table["slct"] = lower_slct;
  table["testp"] = lower_testp;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
