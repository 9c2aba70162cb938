#pragma once

#include <cstdint>

namespace flashmask::emulator {

// What atomics and the reductions of bulk copies do with what is there, `a`, and what comes, `b`.

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a + b);
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? b : a;
  }
};
struct And {
  template <class T>
  static T apply(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return a ^ b;
  }
};
struct Increment {
  template <class T>
  static T apply(T a, T b) {
    return a >= b ? 0 : a + 1;
  }
};
struct Decrement {
  template <class T>
  static T apply(T a, T b) {
    return a == 0 || a > b ? b : a - 1;
  }
};
/// F on halves of the kind H, as bits.
template <class H, class F>
struct OnHalves {
  static std::uint16_t apply(std::uint16_t a, std::uint16_t b) { return H::narrow(F::apply(H::widen(a), H::widen(b))); }
};

}  // namespace flashmask::emulator
