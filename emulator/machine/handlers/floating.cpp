#include <type_traits>

#include "emulator/machine/handlers/arithmetic.h"
#include "emulator/machine/handlers/functions.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};
struct Fma {
  template <class T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    return min_number(a, b);
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return max_number(a, b);
  }
};
struct MinNan {
  template <class T>
  static T apply(T a, T b) {
    return a != a || b != b ? a + b : min_number(a, b);
  }
};
struct MaxNan {
  template <class T>
  static T apply(T a, T b) {
    return a != a || b != b ? a + b : max_number(a, b);
  }
};
struct Abs {
  template <class T>
  static T apply(T a) {
    return std::fabs(a);
  }
};
struct Neg {
  template <class T>
  static T apply(T a) {
    return -a;
  }
};
struct Rcp {
  template <class T>
  static T apply(T a) {
    return T{1} / a;
  }
};
struct Sqrt {
  template <class T>
  static T apply(T a) {
    return std::sqrt(a);
  }
};
struct Rsqrt {
  template <class T>
  static T apply(T a) {
    return T{1} / std::sqrt(a);
  }
};
struct Exp2 {
  static float apply(float a) { return exp2_float(a); }
};
struct Log2 {
  static float apply(float a) { return std::log2(a); }
};
struct Sin {
  static float apply(float a) { return std::sin(a); }
};
struct Cos {
  static float apply(float a) { return std::cos(a); }
};
struct Tanh {
  static float apply(float a) { return std::tanh(a); }
};

template <class F, bool Saturates>
struct Flushed {
  static float finish(float value) { return flush(Saturates ? saturate(value) : value); }
  static float apply(float a) { return finish(F::apply(flush(a))); }
  static float apply(float a, float b) { return finish(F::apply(flush(a), flush(b))); }
  static float apply(float a, float b, float c) { return finish(F::apply(flush(a), flush(b), flush(c))); }
};
template <class F>
struct Saturated {
  template <class... T>
  static float apply(T... values) {
    return saturate(F::apply(values...));
  }
};

struct Modes {
  bool flushes = false;
  bool saturates = false;
};

template <class F, class T, int Sources>
constexpr Handler handler() {
  if constexpr (Sources == 1) return unary<T, T, F>;
  if constexpr (Sources == 2) return binary<T, T, T, F>;
  if constexpr (Sources == 3) return ternary<T, T, T, T, F>;
}

void operands(Builder& builder, Type type, std::size_t sources) {
  builder.expect_operands(sources + 1);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.source(i, type);
}

template <class F, int Sources>
void lower(Builder& builder, Type type, const Modes& modes) {
  operands(builder, type, Sources);
  if (type == Type::kF32) {
    builder.statistics_class("fp32");
    if (modes.flushes && modes.saturates) {
      builder.operation.run = handler<Flushed<F, true>, float, Sources>();
    } else if (modes.flushes) {
      builder.operation.run = handler<Flushed<F, false>, float, Sources>();
    } else if (modes.saturates) {
      builder.operation.run = handler<Saturated<F>, float, Sources>();
    } else {
      builder.operation.run = handler<F, float, Sources>();
    }
    return;
  }
  if constexpr (
      requires(double value) { F::template apply<double>(value); } ||
      requires(double value) { F::template apply<double>(value, value); } ||
      requires(double value) { F::template apply<double>(value, value, value); }) {
    if (modes.flushes || modes.saturates) builder.malformed(".f64 has no .ftz and no .sat");
    builder.statistics_class("fp64");
    builder.operation.run = handler<F, double, Sources>();
  } else {
    builder.unsupported("only .f32 is known");
  }
}

Modes take_modes(Builder& builder) {
  Modes modes;
  modes.flushes = builder.take("ftz");
  modes.saturates = builder.take("sat");
  // Only the default rounding is left out of a name; the directed ones stay, and are refused.
  builder.take("rn");
  return modes;
}

template <class F>
void lower_function(Builder& builder) {
  const bool approximate = builder.take("approx");
  Modes modes = take_modes(builder);
  const Type type = builder.type();
  if (type != Type::kF32 && type != Type::kF64) builder.unsupported("only .f32 and .f64 are known");
  lower<F, 1>(builder, type, modes);
  if (approximate && type == Type::kF32) builder.statistics_class("special");
}

void lower_ex2(Builder& builder) {
  const std::optional<Type> type = builder.next_type();
  if (type && *type >= Type::kF16 && *type <= Type::kBf16x2) return lower_half_exponential(builder);
  lower_function<Exp2>(builder);
  builder.statistics_class("ex2");
}

void lower_tanh(Builder& builder) {
  const std::optional<Type> type = builder.next_type();
  if (type && *type >= Type::kF16 && *type <= Type::kBf16x2) return lower_half_tangent(builder);
  lower_function<Tanh>(builder);
}

template <class T>
void copysign(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  constexpr T kSign = T{1} << (8 * sizeof(T) - 1);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = (b[lane] & ~kSign) | (a[lane] & kSign); });
}

void lower_copysign(Builder& builder) {
  const Type type = builder.type();
  operands(builder, type, 2);
  builder.statistics_class("fp32");
  if (type == Type::kF32) {
    builder.operation.run = copysign<std::uint32_t>;
  } else if (type == Type::kF64) {
    builder.operation.run = copysign<std::uint64_t>;
  } else {
    builder.unsupported("only .f32 and .f64 are known");
  }
}

}  // namespace

void lower_floating_arithmetic(Builder& builder) {
  const std::string& name = builder.opcode();
  const bool propagates = builder.take("NaN");
  if (name == "div") builder.take_one_of({"approx", "full"});
  const Modes modes = take_modes(builder);
  const Type type = builder.type();
  if (type != Type::kF32 && type != Type::kF64) builder.unsupported("only .f32 and .f64 are known");
  if (name == "add") return lower<Add, 2>(builder, type, modes);
  if (name == "sub") return lower<Sub, 2>(builder, type, modes);
  if (name == "mul") return lower<Mul, 2>(builder, type, modes);
  if (name == "div") return lower<Div, 2>(builder, type, modes);
  if (name == "mad" || name == "fma") return lower<Fma, 3>(builder, type, modes);
  if (name == "abs") return lower<Abs, 1>(builder, type, modes);
  if (name == "neg") return lower<Neg, 1>(builder, type, modes);
  if (name == "min") return propagates ? lower<MinNan, 2>(builder, type, modes) : lower<Min, 2>(builder, type, modes);
  if (name == "max") return propagates ? lower<MaxNan, 2>(builder, type, modes) : lower<Max, 2>(builder, type, modes);
  builder.unsupported("the type ." + std::string(ptx::name_of(type)) + " is not known here");
}

void add_functions(LowerTable& table) {
  table["rcp"] = lower_function<Rcp>;
  table["sqrt"] = lower_function<Sqrt>;
  table["rsqrt"] = lower_function<Rsqrt>;
  table["lg2"] = lower_function<Log2>;
  table["sin"] = lower_function<Sin>;
  table["cos"] = lower_function<Cos>;
  table["ex2"] = lower_ex2;
  table["tanh"] = lower_tanh;
  table["copysign"] = lower_copysign;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
