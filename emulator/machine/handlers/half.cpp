#include "emulator/machine/handlers/half.h"

#include "emulator/machine/handlers/arithmetic.h"
#include "emulator/machine/handlers/functions.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

// One rounding at the end: a double holds every product, and the sum but for bits that no half can show.
struct Add {
  static float apply(float a, float b) { return a + b; }
};
struct Sub {
  static float apply(float a, float b) { return a - b; }
};
struct Mul {
  static float apply(float a, float b) { return a * b; }
};
struct Min {
  static float apply(float a, float b) { return min_number(a, b); }
};
struct Max {
  static float apply(float a, float b) { return max_number(a, b); }
};
struct MinNan {
  static float apply(float a, float b) { return a != a || b != b ? a + b : min_number(a, b); }
};
struct MaxNan {
  static float apply(float a, float b) { return a != a || b != b ? a + b : max_number(a, b); }
};
struct Fma {
  static float apply(float a, float b, float c) {
    const double exact = double{a} * double{b} + double{c};
    // Round to odd, so that the second rounding, to the half, is the only one that shows.
    const auto rounded = static_cast<float>(exact);
    if (static_cast<double>(rounded) == exact || exact != exact || std::isinf(rounded)) return rounded;
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(rounded);
    if ((bits & 1) != 0) return rounded;
    const bool away = std::fabs(static_cast<double>(rounded)) < std::fabs(exact);
    return std::bit_cast<float>(away ? bits + 1 : bits - 1);
  }
};
struct Exp2 {
  static float apply(float a) { return exp2_float(a); }
};
struct Tanh {
  static float apply(float a) { return std::tanh(a); }
};

struct Plain {
  static float apply(float value) { return value; }
};
struct Saturate {
  static float apply(float value) { return saturate(value); }
};
struct Relu {
  static float apply(float value) { return value > 0.0f ? value : value != value ? value : 0.0f; }
};

template <class H, class F, class Finish>
struct Single {
  template <class... A>
  static std::uint16_t apply(A... values) {
    return H::narrow(Finish::apply(F::apply(H::widen(values)...)));
  }
};
template <class H, class F, class Finish>
struct Packed {
  template <class... A>
  static std::uint32_t apply(A... values) {
    using One = Single<H, F, Finish>;
    const std::uint32_t low = One::apply(static_cast<std::uint16_t>(values)...);
    const std::uint32_t high = One::apply(static_cast<std::uint16_t>(values >> 16)...);
    return high << 16 | low;
  }
};

template <class F, class T, int Sources>
constexpr Handler handler() {
  if constexpr (Sources == 1) return unary<T, T, F>;
  if constexpr (Sources == 2) return binary<T, T, T, F>;
  if constexpr (Sources == 3) return ternary<T, T, T, T, F>;
}

template <class F, class Finish, int Sources>
Handler pick(Type type) {
  switch (type) {
    case Type::kF16:
      return handler<Single<F16, F, Finish>, std::uint16_t, Sources>();
    case Type::kF16x2:
      return handler<Packed<F16, F, Finish>, std::uint32_t, Sources>();
    case Type::kBf16:
      return handler<Single<Bf16, F, Finish>, std::uint16_t, Sources>();
    default:
      return handler<Packed<Bf16, F, Finish>, std::uint32_t, Sources>();
  }
}

void operands(Builder& builder, Type type, std::size_t sources) {
  builder.expect_operands(sources + 1);
  // Registers of halves are untyped: sizes are all that matters.
  const Type bits = ptx::size_of(type) == 2 ? Type::kB16 : Type::kB32;
  builder.operation.r[0] = builder.destination(0, ptx::size_of(bits));
  for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.source(i, bits);
  builder.statistics_class("fp16");
}

template <class F, int Sources>
void lower(Builder& builder, Type type) {
  operands(builder, type, Sources);
  if (builder.take("sat")) {
    builder.operation.run = pick<F, Saturate, Sources>(type);
  } else if (builder.take("relu")) {
    builder.operation.run = pick<F, Relu, Sources>(type);
  } else {
    builder.operation.run = pick<F, Plain, Sources>(type);
  }
}

template <class T, bool Clears>
void change_sign(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const auto signs = static_cast<T>(0x80008000u);
  each_lane(warp.mask,
            [=](std::uint32_t lane) { d[lane] = static_cast<T>(Clears ? a[lane] & ~signs : a[lane] ^ signs); });
}

template <bool Clears>
void lower_sign(Builder& builder, Type type) {
  operands(builder, type, 1);
  builder.operation.run =
      ptx::size_of(type) == 2 ? change_sign<std::uint16_t, Clears> : change_sign<std::uint32_t, Clears>;
}

}  // namespace

void lower_half_arithmetic(Builder& builder) {
  const std::string& name = builder.opcode();
  const bool propagates = builder.take("NaN");
  // Subnormal halves are normal floats: .ftz would need its own flush, and no template asks for it.
  builder.take("rn");
  const Type type = builder.type();
  if (name == "add") return lower<Add, 2>(builder, type);
  if (name == "sub") return lower<Sub, 2>(builder, type);
  if (name == "mul") return lower<Mul, 2>(builder, type);
  if (name == "fma") return lower<Fma, 3>(builder, type);
  if (name == "min") return propagates ? lower<MinNan, 2>(builder, type) : lower<Min, 2>(builder, type);
  if (name == "max") return propagates ? lower<MaxNan, 2>(builder, type) : lower<Max, 2>(builder, type);
  if (name == "abs") return lower_sign<true>(builder, type);
  if (name == "neg") return lower_sign<false>(builder, type);
  builder.unsupported("the type ." + std::string(ptx::name_of(type)) + " is not known here");
}

void lower_half_exponential(Builder& builder) {
  builder.take("approx");
  builder.take("ftz");
  lower<Exp2, 1>(builder, builder.type());
  builder.statistics_class("ex2");
}

void lower_half_tangent(Builder& builder) {
  builder.take("approx");
  lower<Tanh, 1>(builder, builder.type());
  builder.statistics_class("special");
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
