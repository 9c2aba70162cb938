#pragma once

#include <string>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {

/// Chooses which lanes of the warp run next: parked groups at one pc become one, and the lowest ready pc goes first
/// (another one when Warp::yielding). Leaves `active` empty when all lanes wait or have ended. Throws
/// Fault{kBarrier} when every group waits for lanes that cannot come.
void select_group(Warp& warp);

/// Arrives at barrier `id` with the lanes of Warp::mask. `count` 0 means all threads of the CTA. Without `waits` the
/// lanes go on. `aligned`: the whole warp must be here.
struct BarrierArrival {
  std::uint32_t id = 0;
  std::uint32_t count = 0;
  bool waits = true;
  bool aligned = true;
  /// bar.red: 0 none, else 'a'nd, 'o'r, 'p'opc; its lanes with a true predicate, and where the result goes.
  char reduction = 0;
  std::uint32_t truths = 0;
  Ref destination = kNoRef;
};
void arrive(Warp& warp, const BarrierArrival& arrival);

/// Where every unfinished warp of the resident CTAs stands, one per line.
std::string standings(const Launch& launch);

}  // namespace flashmask::emulator
