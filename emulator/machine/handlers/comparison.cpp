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

struct Eq {
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool apply(T a, T b) {
    return !(a != a) && !(b != b) && a != b;
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
struct Gt {
  template <class T>
  static bool apply(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static bool apply(T a, T b) {
    return a >= b;
  }
};
// The unordered kinds hold as well when an operand is a NaN.
struct Equ {
  template <class T>
  static bool apply(T a, T b) {
    return !(a < b) && !(a > b);
  }
};
struct Neu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a == b);
  }
};
struct Ltu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a >= b);
  }
};
struct Leu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a > b);
  }
};
struct Gtu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a <= b);
  }
};
struct Geu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a < b);
  }
};
struct Num {
  template <class T>
  static bool apply(T a, T b) {
    return a == a && b == b;
  }
};
struct Nan {
  template <class T>
  static bool apply(T a, T b) {
    return a != a || b != b;
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

std::size_t take_comparison(Builder& builder) {
  const auto which = builder.take_one_of({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu",
                                          "ltu", "leu", "gtu", "geu", "num", "nan"});
  if (!which) builder.malformed("a comparison is missing");
  return *which;
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

/// setp: r = p, a, b, c, q
template <class V, class Compare>
void setp(Warp& warp, const Operation& operation) {
  const std::uint32_t bits = compare_lanes<V, Compare>(warp, operation.r[1], operation.r[2]);
  const std::uint32_t other = operation.mode == kNone ? 0 : warp.predicate(operation.r[3]);
  warp.set_predicate(operation.r[0], combine(operation.mode, bits, other));
  if (operation.r[4] != kNoRef) warp.set_predicate(operation.r[4], combine(operation.mode, ~bits, other));
}

/// setp for a packed pair: p is the low half's result, q the high one's.
template <class H, class Compare>
void setp_pair(Warp& warp, const Operation& operation) {
  const std::uint32_t low = compare_lanes<WidenedOf<H, 0>, Compare>(warp, operation.r[1], operation.r[2]);
  const std::uint32_t high = compare_lanes<WidenedOf<H, 16>, Compare>(warp, operation.r[1], operation.r[2]);
  const std::uint32_t other = operation.mode == kNone ? 0 : warp.predicate(operation.r[3]);
  warp.set_predicate(operation.r[0], combine(operation.mode, low, other));
  if (operation.r[4] != kNoRef) warp.set_predicate(operation.r[4], combine(operation.mode, high, other));
}

/// set: all ones or 1.0 where the comparison holds. `immediate` is what a true lane gets.
template <class V, class Compare>
void set(Warp& warp, const Operation& operation) {
  const std::uint32_t other = operation.mode == kNone ? 0 : warp.predicate(operation.r[3]);
  const std::uint32_t bits =
      combine(operation.mode, compare_lanes<V, Compare>(warp, operation.r[1], operation.r[2]), other);
  const auto value = static_cast<std::uint32_t>(operation.immediate);
  if (operation.size == 2) {
    std::uint16_t* d = warp.lanes<std::uint16_t>(operation.r[0]);
    each_lane(warp.mask,
              [=](std::uint32_t lane) { d[lane] = static_cast<std::uint16_t>(bits >> lane & 1 ? value : 0); });
  } else {
    std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
    each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = bits >> lane & 1 ? value : 0; });
  }
}

/// set for a packed pair: 1.0 or all ones in each half.
template <class H, class Compare>
void set_pair(Warp& warp, const Operation& operation) {
  const std::uint32_t low = compare_lanes<WidenedOf<H, 0>, Compare>(warp, operation.r[1], operation.r[2]);
  const std::uint32_t high = compare_lanes<WidenedOf<H, 16>, Compare>(warp, operation.r[1], operation.r[2]);
  const auto value = static_cast<std::uint32_t>(operation.immediate);
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  each_lane(warp.mask, [=](std::uint32_t lane) {
    d[lane] = (low >> lane & 1 ? value & 0xffff : 0) | (high >> lane & 1 ? value & 0xffff0000u : 0);
  });
}

enum class Form { kSetp, kSet };

template <class V, class C>
struct OneByOne {
  static Handler handler(Form form) { return form == Form::kSetp ? setp<V, C> : set<V, C>; }
};
template <class H, class C>
struct Pairs {
  static Handler handler(Form form) { return form == Form::kSetp ? setp_pair<H, C> : set_pair<H, C>; }
};

template <template <class, class> class Maker, class V>
Handler ordered(Form form, std::size_t which) {
  switch (which) {
    case 0:
      return Maker<V, Eq>::handler(form);
    case 1:
      return Maker<V, Ne>::handler(form);
    case 2:
    case 6:
      return Maker<V, Lt>::handler(form);
    case 3:
    case 7:
      return Maker<V, Le>::handler(form);
    case 4:
    case 8:
      return Maker<V, Gt>::handler(form);
    case 5:
    case 9:
      return Maker<V, Ge>::handler(form);
    default:
      return nullptr;
  }
}

template <template <class, class> class Maker, class V>
Handler floating(Form form, std::size_t which) {
  switch (which) {
    case 10:
      return Maker<V, Equ>::handler(form);
    case 11:
      return Maker<V, Neu>::handler(form);
    case 12:
      return Maker<V, Ltu>::handler(form);
    case 13:
      return Maker<V, Leu>::handler(form);
    case 14:
      return Maker<V, Gtu>::handler(form);
    case 15:
      return Maker<V, Geu>::handler(form);
    case 16:
      return Maker<V, Num>::handler(form);
    case 17:
      return Maker<V, Nan>::handler(form);
    case 6:
    case 7:
    case 8:
    case 9:
      return nullptr;
    default:
      return ordered<Maker, V>(form, which);
  }
}

Handler pick(Type type, bool flushes, Form form, std::size_t which) {
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return ordered<OneByOne, Same<std::uint16_t>>(form, which);
    case Type::kB32:
    case Type::kU32:
      return ordered<OneByOne, Same<std::uint32_t>>(form, which);
    case Type::kB64:
    case Type::kU64:
      return ordered<OneByOne, Same<std::uint64_t>>(form, which);
    case Type::kS16:
      return ordered<OneByOne, Same<std::int16_t>>(form, which);
    case Type::kS32:
      return ordered<OneByOne, Same<std::int32_t>>(form, which);
    case Type::kS64:
      return ordered<OneByOne, Same<std::int64_t>>(form, which);
    case Type::kF32:
      return flushes ? floating<OneByOne, FlushedFloat>(form, which) : floating<OneByOne, Same<float>>(form, which);
    case Type::kF64:
      return floating<OneByOne, Same<double>>(form, which);
    case Type::kF16:
      return floating<OneByOne, Widened<F16>>(form, which);
    case Type::kBf16:
      return floating<OneByOne, Widened<Bf16>>(form, which);
    case Type::kF16x2:
      return floating<Pairs, F16>(form, which);
    case Type::kBf16x2:
      return floating<Pairs, Bf16>(form, which);
    default:
      return nullptr;
  }
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
  const std::size_t which = take_comparison(builder);
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
  builder.operation.run = pick(type, flushes, Form::kSetp, which);
  if (builder.operation.run == nullptr) builder.malformed("the type has no such comparison");
}

void lower_set(Builder& builder) {
  const std::size_t which = take_comparison(builder);
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
  builder.operation.run = pick(type, flushes, Form::kSet, which);
  if (builder.operation.run == nullptr) builder.malformed("the type has no such comparison");
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
