#pragma once

#include <cstdint>

#include "emulator/machine/core/warp.h"

// The families of vector operations are compiled once per processor generation, each in a namespace of its own, so
// that the linker never takes an inline function of one for the other.
#ifndef FLASHMASK_EMULATOR_ISA
#define FLASHMASK_EMULATOR_ISA baseline
#endif

namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA {

/// Calls f(lane) for the running lanes. A full warp is a loop without a branch, which the compiler makes vector code.
template <class F>
[[gnu::always_inline]] inline void each_lane(std::uint32_t mask, F f) {
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) f(lane);
  } else {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      if ((mask >> lane & 1) != 0) f(lane);
    }
  }
}

/// d = F(a)
template <class D, class A, class F>
void unary(Warp& warp, const Operation& operation) {
  D* d = warp.lanes<D>(operation.r[0]);
  const A* a = warp.lanes<A>(operation.r[1]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = F::apply(a[lane]); });
}

/// d = F(a, b)
template <class D, class A, class B, class F>
void binary(Warp& warp, const Operation& operation) {
  D* d = warp.lanes<D>(operation.r[0]);
  const A* a = warp.lanes<A>(operation.r[1]);
  const B* b = warp.lanes<B>(operation.r[2]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = F::apply(a[lane], b[lane]); });
}

/// d = F(a, b, c)
template <class D, class A, class B, class C, class F>
void ternary(Warp& warp, const Operation& operation) {
  D* d = warp.lanes<D>(operation.r[0]);
  const A* a = warp.lanes<A>(operation.r[1]);
  const B* b = warp.lanes<B>(operation.r[2]);
  const C* c = warp.lanes<C>(operation.r[3]);
  each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = F::apply(a[lane], b[lane], c[lane]); });
}

}  // namespace flashmask::emulator::FLASHMASK_EMULATOR_ISA
