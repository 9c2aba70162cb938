#include <type_traits>

#include "emulator/machine/handlers/arithmetic.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
struct WiderOf;
template <>
struct WiderOf<std::uint16_t> {
  using type = std::uint32_t;
};
template <>
struct WiderOf<std::int16_t> {
  using type = std::int32_t;
};
template <>
struct WiderOf<std::uint32_t> {
  using type = std::uint64_t;
};
template <>
struct WiderOf<std::int32_t> {
  using type = std::int64_t;
};
__extension__ typedef unsigned __int128 Unsigned128;
__extension__ typedef __int128 Signed128;
template <>
struct WiderOf<std::uint64_t> {
  using type = Unsigned128;
};
template <>
struct WiderOf<std::int64_t> {
  using type = Signed128;
};
template <class T>
using Wider = typename WiderOf<T>::type;

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(Unsigned<T>(a) + Unsigned<T>(b));
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(Unsigned<T>(a) - Unsigned<T>(b));
  }
};
struct MulLow {
  // 16-bit factors would be promoted to int and overflow it.
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  }
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b) { return a * b; }
  static std::int32_t apply(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b));
  }
};
struct MulHigh {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b) >> (8 * sizeof(T)));
  }
};
struct MulWide {
  template <class T>
  static Wider<T> apply(T a, T b) {
    return static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b);
  }
};
template <class Product>
struct MulAdd {
  template <class T, class C>
  static C apply(T a, T b, C c) {
    return Add::apply<C>(Product::apply(a, b), c);
  }
};
struct Div {
  // What hardware gives for a zero divisor is all ones; the one quotient that overflows wraps.
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Sub::apply(T{0}, a);
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
struct Abs {
  template <class T>
  static T apply(T a) {
    return a < 0 ? Sub::apply(T{0}, a) : a;
  }
};
struct Neg {
  template <class T>
  static T apply(T a) {
    return Sub::apply(T{0}, a);
  }
};
struct Sad {
  template <class T>
  static T apply(T a, T b, T c) {
    return Add::apply(c, a < b ? Sub::apply(b, a) : Sub::apply(a, b));
  }
};
struct AddSaturated {
  static std::int32_t apply(std::int32_t a, std::int32_t b) {
    const std::int64_t sum = std::int64_t{a} + b;
    return static_cast<std::int32_t>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
  }
};
struct SubSaturated {
  static std::int32_t apply(std::int32_t a, std::int32_t b) {
    const std::int64_t sum = std::int64_t{a} - b;
    return static_cast<std::int32_t>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
  }
};

/// d = a (+ or -) b with carries: `Reads` takes the warp's condition code in, `flags` bit 0 writes it.
template <class T, bool Reads, bool Subtracts>
void carry_add(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  std::uint32_t carries = warp.carry;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const Wider<T> carry = Reads ? warp.carry >> lane & 1 : 0;
    // Borrow is kept as a set bit.
    const Wider<T> sum =
        Subtracts ? static_cast<Wider<T>>(a[lane]) - b[lane] - carry : static_cast<Wider<T>>(a[lane]) + b[lane] + carry;
    d[lane] = static_cast<T>(sum);
    const bool out = (sum >> (8 * sizeof(T)) & 1) != 0;
    carries = (carries & ~(1u << lane)) | (out ? 1u << lane : 0);
  }
  if ((operation.flags & 1) != 0) warp.carry = carries;
}

/// d = low or high half of a * b, plus c, with carries.
template <class T, bool Reads, bool High>
void carry_mad(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  const T* c = warp.lanes<T>(operation.r[3]);
  std::uint32_t carries = warp.carry;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const T product = High ? MulHigh::apply(a[lane], b[lane]) : MulLow::apply(a[lane], b[lane]);
    const Wider<Unsigned<T>> sum = static_cast<Wider<Unsigned<T>>>(static_cast<Unsigned<T>>(product)) +
                                   static_cast<Unsigned<T>>(c[lane]) + (Reads ? warp.carry >> lane & 1 : 0);
    d[lane] = static_cast<T>(sum);
    carries = (carries & ~(1u << lane)) | ((sum >> (8 * sizeof(T)) & 1) != 0 ? 1u << lane : 0);
  }
  if ((operation.flags & 1) != 0) warp.carry = carries;
}

template <class F>
void with_integer(Builder& builder, Type type, F f) {
  switch (type) {
    case Type::kU16:
    case Type::kB16:
      return f(std::uint16_t{});
    case Type::kU32:
    case Type::kB32:
      return f(std::uint32_t{});
    case Type::kU64:
    case Type::kB64:
      return f(std::uint64_t{});
    case Type::kS16:
      return f(std::int16_t{});
    case Type::kS32:
      return f(std::int32_t{});
    case Type::kS64:
      return f(std::int64_t{});
    default:
      builder.unsupported("the type ." + std::string(ptx::name_of(type)) + " is not known here");
  }
}

void operands(Builder& builder, Type type, std::size_t sources) {
  builder.expect_operands(sources + 1);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.source(i, type);
}

template <class F>
void lower_binary(Builder& builder, Type type) {
  operands(builder, type, 2);
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    builder.operation.run = binary<T, T, T, F>;
  });
}

template <class F>
void lower_unary(Builder& builder, Type type) {
  operands(builder, type, 1);
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    builder.operation.run = unary<T, T, F>;
  });
}

template <bool Reads, bool Subtracts>
void lower_carry(Builder& builder, Type type, bool writes) {
  operands(builder, type, 2);
  builder.operation.flags = writes ? 1 : 0;
  if (ptx::size_of(type) == 4) {
    builder.operation.run = carry_add<std::uint32_t, Reads, Subtracts>;
  } else if (ptx::size_of(type) == 8) {
    builder.operation.run = carry_add<std::uint64_t, Reads, Subtracts>;
  } else {
    builder.unsupported("carries exist for 32 and 64 bits");
  }
}

void lower_add_sub(Builder& builder, Type type, bool subtracts) {
  if (builder.take("cc")) {
    return subtracts ? lower_carry<false, true>(builder, type, true) : lower_carry<false, false>(builder, type, true);
  }
  if (builder.take("sat")) {
    if (type != Type::kS32) builder.unsupported(".sat exists for .s32 only");
    operands(builder, type, 2);
    builder.operation.run = subtracts ? binary<std::int32_t, std::int32_t, std::int32_t, SubSaturated>
                                      : binary<std::int32_t, std::int32_t, std::int32_t, AddSaturated>;
    return;
  }
  subtracts ? lower_binary<Sub>(builder, type) : lower_binary<Add>(builder, type);
}

enum class Part { kLow, kHigh, kWide };

Part take_part(Builder& builder) {
  const auto part = builder.take_one_of({"lo", "hi", "wide"});
  if (!part) builder.malformed(".lo, .hi or .wide is missing");
  return static_cast<Part>(*part);
}

Type widened(Builder& builder, Type type) {
  switch (type) {
    case Type::kU16:
      return Type::kU32;
    case Type::kS16:
      return Type::kS32;
    case Type::kU32:
      return Type::kU64;
    case Type::kS32:
      return Type::kS64;
    default:
      builder.malformed(".wide exists for 16 and 32 bits");
  }
}

void lower_mul(Builder& builder, Type type) {
  const Part part = take_part(builder);
  if (part == Part::kLow) return lower_binary<MulLow>(builder, type);
  if (part == Part::kHigh) return lower_binary<MulHigh>(builder, type);
  builder.expect_operands(3);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(widened(builder, type)));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, type);
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    if constexpr (sizeof(T) < 8) builder.operation.run = binary<Wider<T>, T, T, MulWide>;
  });
}

template <bool Reads>
void lower_carry_mad(Builder& builder, Type type, Part part, bool writes) {
  operands(builder, type, 3);
  builder.operation.flags = writes ? 1 : 0;
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    if constexpr (sizeof(T) >= 4) {
      builder.operation.run = part == Part::kHigh ? carry_mad<T, Reads, true> : carry_mad<T, Reads, false>;
    } else {
      builder.unsupported("carries exist for 32 and 64 bits");
    }
  });
}

void lower_mad(Builder& builder, Type type) {
  const Part part = take_part(builder);
  if (builder.take("cc")) return lower_carry_mad<false>(builder, type, part, true);
  const bool wide = part == Part::kWide;
  const Type result = wide ? widened(builder, type) : type;
  builder.expect_operands(4);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(result));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, type);
  builder.operation.r[3] = builder.source(3, result);
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    if (part == Part::kLow) builder.operation.run = ternary<T, T, T, T, MulAdd<MulLow>>;
    if (part == Part::kHigh) builder.operation.run = ternary<T, T, T, T, MulAdd<MulHigh>>;
    if constexpr (sizeof(T) < 8) {
      if (wide) builder.operation.run = ternary<Wider<T>, T, T, Wider<T>, MulAdd<MulWide>>;
    }
  });
}

void lower_addc(Builder& builder) {
  const bool writes = builder.take("cc");
  lower_carry<true, false>(builder, builder.type(), writes);
}
void lower_subc(Builder& builder) {
  const bool writes = builder.take("cc");
  lower_carry<true, true>(builder, builder.type(), writes);
}
void lower_madc(Builder& builder) {
  const Part part = take_part(builder);
  if (part == Part::kWide) builder.malformed("madc has no .wide");
  const bool writes = builder.take("cc");
  lower_carry_mad<true>(builder, builder.type(), part, writes);
}

void lower_sad(Builder& builder) {
  const Type type = builder.type();
  operands(builder, type, 3);
  with_integer(builder, type, [&](auto value) {
    using T = decltype(value);
    builder.operation.run = ternary<T, T, T, T, Sad>;
  });
}

/// Four products of bytes; A and B are int8_t or uint8_t.
template <class A, class B>
struct Dot4 {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    for (int i = 0; i < 32; i += 8) {
      c += static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<A>(a >> i)) *
                                      static_cast<std::int32_t>(static_cast<B>(b >> i)));
    }
    return c;
  }
};

void lower_dp4a(Builder& builder) {
  const bool a = builder.type() == Type::kS32;
  const bool b = builder.type() == Type::kS32;
  operands(builder, Type::kU32, 3);
  using W = std::uint32_t;
  if (a) {
    builder.operation.run =
        b ? ternary<W, W, W, W, Dot4<std::int8_t, std::int8_t>> : ternary<W, W, W, W, Dot4<std::int8_t, std::uint8_t>>;
  } else {
    builder.operation.run = b ? ternary<W, W, W, W, Dot4<std::uint8_t, std::int8_t>>
                              : ternary<W, W, W, W, Dot4<std::uint8_t, std::uint8_t>>;
  }
}

}  // namespace

void lower_integer_arithmetic(Builder& builder) {
  const Type type = builder.type();
  const std::string& name = builder.opcode();
  if (name == "add") return lower_add_sub(builder, type, false);
  if (name == "sub") return lower_add_sub(builder, type, true);
  if (name == "mul") return lower_mul(builder, type);
  if (name == "mad") return lower_mad(builder, type);
  if (name == "div") return lower_binary<Div>(builder, type);
  if (name == "rem") return lower_binary<Rem>(builder, type);
  if (name == "min") return lower_binary<Min>(builder, type);
  if (name == "max") return lower_binary<Max>(builder, type);
  if (name == "abs") return lower_unary<Abs>(builder, type);
  if (name == "neg") return lower_unary<Neg>(builder, type);
  builder.unsupported("the type ." + std::string(ptx::name_of(type)) + " is not known here");
}

void add_integer_only(LowerTable& table) {
  table["addc"] = lower_addc;
  table["subc"] = lower_subc;
  table["madc"] = lower_madc;
  table["sad"] = lower_sad;
  table["dp4a"] = lower_dp4a;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
