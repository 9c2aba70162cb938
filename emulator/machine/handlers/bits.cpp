#include <bit>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {
namespace {

using ptx::Type;

struct And {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct Cnot {
  template <class T>
  static T apply(T a) {
    return a == 0 ? 1 : 0;
  }
};
struct Shl {
  template <class T>
  static T apply(T a, std::uint32_t n) {
    return n < 8 * sizeof(T) ? static_cast<T>(a << (n & (8 * sizeof(T) - 1))) : T{0};
  }
};
struct Shr {
  // Also signed: shifting by more than the width leaves the sign.
  template <class T>
  static T apply(T a, std::uint32_t n) {
    const std::uint32_t most = 8 * sizeof(T) - 1;
    const T shifted = static_cast<T>(a >> (n < most ? n : most));
    return n <= most ? shifted : static_cast<T>(a < 0 ? -1 : 0);
  }
};
template <bool Left, bool Wraps>
struct Funnel {
  static std::uint32_t apply(std::uint32_t low, std::uint32_t high, std::uint32_t c) {
    const std::uint32_t n = Wraps ? c & 31 : c < 32 ? c : 32;
    const std::uint64_t both = std::uint64_t{high} << 32 | low;
    return static_cast<std::uint32_t>(Left ? both << n >> 32 : both >> n);
  }
};
struct Bfe {
  template <class T>
  static T apply(T a, std::uint32_t position, std::uint32_t length) {
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    position &= 0xff;
    length &= 0xff;
    using U = std::make_unsigned_t<T>;
    constexpr bool kSigned = std::is_signed_v<T>;
    if (length == 0) return 0;
    const std::uint32_t top = position + length - 1 < kBits - 1 ? position + length - 1 : kBits - 1;
    const bool sign = kSigned && (static_cast<U>(a) >> top & 1) != 0;
    U result = position < kBits ? static_cast<U>(static_cast<U>(a) >> position) : U{0};
    const std::uint32_t valid = position < kBits ? top - position + 1 : 0;
    if (valid < kBits) {
      const U mask = static_cast<U>((U{1} << valid) - 1);
      result = static_cast<U>(sign ? result | static_cast<U>(~mask) : result & mask);
    }
    return static_cast<T>(result);
  }
};
struct Brev {
  template <class T>
  static T apply(T a) {
    T result = 0;
    for (std::size_t i = 0; i < 8 * sizeof(T); ++i) result = static_cast<T>(result << 1 | (a >> i & 1));
    return result;
  }
};
struct Popc {
  template <class T>
  static std::uint32_t apply(T a) {
    return static_cast<std::uint32_t>(std::popcount(a));
  }
};
struct Clz {
  template <class T>
  static std::uint32_t apply(T a) {
    return static_cast<std::uint32_t>(std::countl_zero(a));
  }
};
template <bool ShiftAmount>
struct Bfind {
  template <class T>
  static std::uint32_t apply(T a) {
    using U = std::make_unsigned_t<T>;
    const U value = static_cast<U>(std::is_signed_v<T> && a < 0 ? ~static_cast<U>(a) : static_cast<U>(a));
    if (value == 0) return ~0u;
    const auto zeros = static_cast<std::uint32_t>(std::countl_zero(value));
    return ShiftAmount ? zeros : static_cast<std::uint32_t>(8 * sizeof(T)) - 1 - zeros;
  }
};

template <class F>
void lower_predicate_or(Builder& builder, Type type, Handler predicate, Handler w16, Handler w32, Handler w64,
                        std::size_t sources) {
  builder.expect_operands(sources + 1);
  if (type == Type::kPred) {
    builder.operation.r[0] = builder.predicate_destination(builder.operand(0));
    for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.predicate_source(builder.operand(i));
    builder.operation.run = predicate;
    return;
  }
  if (ptx::is_float(type)) builder.malformed("a bit type was expected");
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.source(i, type);
  switch (ptx::size_of(type)) {
    case 2:
      builder.operation.run = w16;
      break;
    case 4:
      builder.operation.run = w32;
      break;
    case 8:
      builder.operation.run = w64;
      break;
    default:
      builder.unsupported("16, 32 and 64 bits are known");
  }
}

template <class F>
void predicate_binary(Warp& warp, const Operation& operation) {
  warp.set_predicate(operation.r[0], F::apply(warp.predicate(operation.r[1]), warp.predicate(operation.r[2])));
}

template <class F>
void lower_logic(Builder& builder) {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  lower_predicate_or<F>(builder, builder.type(), predicate_binary<F>, binary<U16, U16, U16, F>,
                        binary<U32, U32, U32, F>, binary<U64, U64, U64, F>, 2);
}

void predicate_not(Warp& warp, const Operation& operation) {
  warp.set_predicate(operation.r[0], ~warp.predicate(operation.r[1]));
}

template <class F>
void lower_complement(Builder& builder) {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  lower_predicate_or<F>(builder, builder.type(), predicate_not, unary<U16, U16, F>, unary<U32, U32, F>,
                        unary<U64, U64, F>, 1);
}

template <class F, bool Signed>
void lower_shift(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(3);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, Type::kU32);
  const bool keeps_sign = Signed && ptx::is_signed(type);
  using W = std::uint32_t;
  switch (ptx::size_of(type)) {
    case 2:
      builder.operation.run =
          keeps_sign ? binary<std::int16_t, std::int16_t, W, F> : binary<std::uint16_t, std::uint16_t, W, F>;
      break;
    case 4:
      builder.operation.run = keeps_sign ? binary<std::int32_t, std::int32_t, W, F> : binary<W, W, W, F>;
      break;
    case 8:
      builder.operation.run =
          keeps_sign ? binary<std::int64_t, std::int64_t, W, F> : binary<std::uint64_t, std::uint64_t, W, F>;
      break;
    default:
      builder.unsupported("16, 32 and 64 bits are known");
  }
}

void word_operands(Builder& builder, std::size_t sources) {
  builder.expect_operands(sources + 1);
  builder.operation.r[0] = builder.destination(0, 4);
  for (std::size_t i = 1; i <= sources; ++i) builder.operation.r[i] = builder.source(i, Type::kB32);
}

void lower_shf(Builder& builder) {
  const bool left = builder.take("l");
  if (!left && !builder.take("r")) builder.malformed(".l or .r is missing");
  const bool wraps = builder.take("wrap");
  if (!wraps && !builder.take("clamp")) builder.malformed(".wrap or .clamp is missing");
  if (builder.type() != Type::kB32) builder.malformed(".b32 was expected");
  word_operands(builder, 3);
  using W = std::uint32_t;
  if (left) {
    builder.operation.run = wraps ? ternary<W, W, W, W, Funnel<true, true>> : ternary<W, W, W, W, Funnel<true, false>>;
  } else {
    builder.operation.run =
        wraps ? ternary<W, W, W, W, Funnel<false, true>> : ternary<W, W, W, W, Funnel<false, false>>;
  }
}

void lop3(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t* a = warp.lanes<std::uint32_t>(operation.r[1]);
  const std::uint32_t* b = warp.lanes<std::uint32_t>(operation.r[2]);
  const std::uint32_t* c = warp.lanes<std::uint32_t>(operation.r[3]);
  std::uint32_t rows[8];
  for (std::uint32_t i = 0; i < 8; ++i) rows[i] = (operation.immediate >> i & 1) != 0 ? ~0u : 0;
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint32_t x = a[lane];
    const std::uint32_t y = b[lane];
    const std::uint32_t z = c[lane];
    d[lane] = (rows[0] & ~x & ~y & ~z) | (rows[1] & ~x & ~y & z) | (rows[2] & ~x & y & ~z) | (rows[3] & ~x & y & z) |
              (rows[4] & x & ~y & ~z) | (rows[5] & x & ~y & z) | (rows[6] & x & y & ~z) | (rows[7] & x & y & z);
  });
}

void lower_lop3(Builder& builder) {
  if (builder.type() != Type::kB32) builder.malformed(".b32 was expected");
  builder.expect_operands(5);
  builder.operation.r[0] = builder.destination(0, 4);
  for (std::size_t i = 1; i <= 3; ++i) builder.operation.r[i] = builder.source(i, Type::kB32);
  builder.operation.immediate = builder.integer(4);
  builder.operation.run = lop3;
}

void lower_bfe(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(4);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, Type::kU32);
  builder.operation.r[3] = builder.source(3, Type::kU32);
  using W = std::uint32_t;
  switch (type) {
    case Type::kU32:
      builder.operation.run = ternary<W, W, W, W, Bfe>;
      break;
    case Type::kS32:
      builder.operation.run = ternary<std::int32_t, std::int32_t, W, W, Bfe>;
      break;
    case Type::kU64:
      builder.operation.run = ternary<std::uint64_t, std::uint64_t, W, W, Bfe>;
      break;
    case Type::kS64:
      builder.operation.run = ternary<std::int64_t, std::int64_t, W, W, Bfe>;
      break;
    default:
      builder.malformed("a 32-bit or 64-bit integer type was expected");
  }
}

template <class T>
void bfi(Warp& warp, const Operation& operation) {
  T* d = warp.lanes<T>(operation.r[0]);
  const T* a = warp.lanes<T>(operation.r[1]);
  const T* b = warp.lanes<T>(operation.r[2]);
  const std::uint32_t* position = warp.lanes<std::uint32_t>(operation.r[3]);
  const std::uint32_t* length = warp.lanes<std::uint32_t>(operation.r[4]);
  constexpr std::uint32_t kBits = 8 * sizeof(T);
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint32_t at = position[lane] & 0xff;
    const std::uint32_t count = length[lane] & 0xff;
    const T ones = count >= kBits ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << count) - 1);
    const T field = at >= kBits ? T{0} : static_cast<T>(ones << at);
    d[lane] = at >= kBits ? b[lane] : static_cast<T>((b[lane] & ~field) | (static_cast<T>(a[lane] << at) & field));
  });
}

void lower_bfi(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(5);
  builder.operation.r[0] = builder.destination(0, ptx::size_of(type));
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, type);
  builder.operation.r[3] = builder.source(3, Type::kU32);
  builder.operation.r[4] = builder.source(4, Type::kU32);
  if (type == Type::kB32) {
    builder.operation.run = bfi<std::uint32_t>;
  } else if (type == Type::kB64) {
    builder.operation.run = bfi<std::uint64_t>;
  } else {
    builder.malformed(".b32 or .b64 was expected");
  }
}

template <class F, bool KeepsWidth>
void lower_count(Builder& builder) {
  const Type type = builder.type();
  builder.expect_operands(2);
  builder.operation.r[0] = builder.destination(0, KeepsWidth ? ptx::size_of(type) : 4);
  builder.operation.r[1] = builder.source(1, type);
  using W = std::uint32_t;
  using L = std::uint64_t;
  if (ptx::size_of(type) == 4) {
    builder.operation.run = unary<W, W, F>;
  } else if (ptx::size_of(type) == 8) {
    builder.operation.run = unary<std::conditional_t<KeepsWidth, L, W>, L, F>;
  } else {
    builder.malformed("32 or 64 bits were expected");
  }
}

template <bool ShiftAmount>
void pick_bfind(Builder& builder, Type type) {
  using W = std::uint32_t;
  switch (type) {
    case Type::kU32:
      builder.operation.run = unary<W, W, Bfind<ShiftAmount>>;
      break;
    case Type::kS32:
      builder.operation.run = unary<W, std::int32_t, Bfind<ShiftAmount>>;
      break;
    case Type::kU64:
      builder.operation.run = unary<W, std::uint64_t, Bfind<ShiftAmount>>;
      break;
    case Type::kS64:
      builder.operation.run = unary<W, std::int64_t, Bfind<ShiftAmount>>;
      break;
    default:
      builder.malformed("a 32-bit or 64-bit integer type was expected");
  }
}

void lower_bfind(Builder& builder) {
  const bool shift_amount = builder.take("shiftamt");
  const Type type = builder.type();
  builder.expect_operands(2);
  builder.operation.r[0] = builder.destination(0, 4);
  builder.operation.r[1] = builder.source(1, type);
  shift_amount ? pick_bfind<true>(builder, type) : pick_bfind<false>(builder, type);
}

std::uint32_t permuted_byte(std::uint64_t bytes, std::uint32_t selector) {
  const auto byte = static_cast<std::uint32_t>(bytes >> (8 * (selector & 7))) & 0xff;
  return (selector & 8) != 0 ? ((byte & 0x80) != 0 ? 0xff : 0) : byte;
}

enum class Permute { kIndex, kForward4, kBackward4, kReplicate8, kEdgeLeft, kEdgeRight, kReplicate16 };

/// The selector, one nibble per byte of the result, that a special mode stands for.
std::uint32_t selector_of(Permute mode, std::uint32_t c) {
  const std::uint32_t n = c & 3;
  std::uint32_t selector = 0;
  for (std::uint32_t byte = 0; byte < 4; ++byte) {
    std::uint32_t from = 0;
    switch (mode) {
      case Permute::kForward4:
        from = n + byte;
        break;
      case Permute::kBackward4:
        from = (n - byte) & 7;
        break;
      case Permute::kReplicate8:
        from = n;
        break;
      case Permute::kEdgeLeft:
        from = byte > n ? byte : n;
        break;
      case Permute::kEdgeRight:
        from = byte < n ? byte : n;
        break;
      case Permute::kReplicate16:
        from = 2 * (c & 1) + (byte & 1);
        break;
      case Permute::kIndex:
        return c;
    }
    selector |= from << (4 * byte);
  }
  return selector;
}

void prmt(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t* a = warp.lanes<std::uint32_t>(operation.r[1]);
  const std::uint32_t* b = warp.lanes<std::uint32_t>(operation.r[2]);
  const std::uint32_t* c = warp.lanes<std::uint32_t>(operation.r[3]);
  const auto mode = static_cast<Permute>(operation.mode);
  each_lane(warp.mask, [=](std::uint32_t lane) {
    const std::uint64_t bytes = std::uint64_t{b[lane]} << 32 | a[lane];
    const std::uint32_t selector = selector_of(mode, c[lane]);
    d[lane] = permuted_byte(bytes, selector & 15) | permuted_byte(bytes, selector >> 4 & 15) << 8 |
              permuted_byte(bytes, selector >> 8 & 15) << 16 | permuted_byte(bytes, selector >> 12 & 15) << 24;
  });
}

void lower_prmt(Builder& builder) {
  const auto mode = builder.take_one_of({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  if (builder.type() != Type::kB32) builder.malformed(".b32 was expected");
  word_operands(builder, 3);
  builder.operation.mode = static_cast<std::uint8_t>(mode ? *mode + 1 : 0);
  builder.operation.run = prmt;
}

/// The place of the n-th one of `mask`, counted from `base` upwards (n > 0) or downwards (n < 0); n = 0 asks for the
/// bit at `base`. All ones if there is none.
std::uint32_t nth_one(std::uint32_t mask, std::uint32_t base, std::int32_t n) {
  const std::int32_t step = n < 0 ? -1 : 1;
  std::int32_t left = n == 0 ? 1 : n * step;
  for (auto at = static_cast<std::int32_t>(base & 31); at >= 0 && at < 32; at += step) {
    if ((mask >> at & 1) != 0 && --left == 0) return static_cast<std::uint32_t>(at);
    if (n == 0) break;
  }
  return ~0u;
}

void fns(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t* mask = warp.lanes<std::uint32_t>(operation.r[1]);
  const std::uint32_t* base = warp.lanes<std::uint32_t>(operation.r[2]);
  const std::int32_t* offset = warp.lanes<std::int32_t>(operation.r[3]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = nth_one(mask[lane], base[lane], offset[lane]); });
}

void lower_fns(Builder& builder) {
  if (builder.type() != Type::kB32) builder.malformed(".b32 was expected");
  word_operands(builder, 3);
  builder.operation.run = fns;
}

}  // namespace

void add_bits(LowerTable& table) {
  table["and"] = lower_logic<And>;
  table["or"] = lower_logic<Or>;
  table["xor"] = lower_logic<Xor>;
  table["not"] = lower_complement<Not>;
  table["cnot"] = lower_complement<Cnot>;
  table["shl"] = lower_shift<Shl, false>;
  table["shr"] = lower_shift<Shr, true>;
  table["shf"] = lower_shf;
  table["lop3"] = lower_lop3;
  table["bfe"] = lower_bfe;
  table["bfi"] = lower_bfi;
  table["brev"] = lower_count<Brev, true>;
  table["popc"] = lower_count<Popc, false>;
  table["clz"] = lower_count<Clz, false>;
  table["bfind"] = lower_bfind;
  table["prmt"] = lower_prmt;
  table["fns"] = lower_fns;
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
