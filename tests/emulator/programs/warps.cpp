#include <algorithm>
#include <numeric>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

const Words& lane_values() {
  static const Words values = words(32, scrambled);
  return values;
}

std::uint32_t total(const Words& values) {
  return std::accumulate(values.begin(), values.end(), 0u);
}

Data rotated() {
  return {.inputs = {lane_values()}, .expected = words(32, [](std::size_t i) { return lane_values()[(i + 3) % 32]; })};
}

Data warp_tail() {
  const Words input = words(64, scrambled);
  return {.inputs = {input}, .expected = {total(input)}};
}

Data halves() {
  return {.inputs = {lane_values()}, .expected = words(32, [](std::size_t i) {
                                       return i < 16 ? lane_values()[15 - i] + 1 : lane_values()[47 - i] + 2;
                                     })};
}

Data matched() {
  return {.inputs = {lane_values()}, .expected = words(32, [](std::size_t lane) {
                                       std::uint32_t sum = 0;
                                       for (const std::uint32_t other : lane_values()) {
                                         if (other % 5 == lane_values()[lane] % 5) sum += other + 1;
                                       }
                                       return sum;
                                     })};
}

Data reduced() {
  std::uint32_t sum = 0, parity = 0, least = ~0u;
  for (std::size_t i = 0; i < 32; ++i) {
    if (i % 4 == 3) continue;
    sum += lane_values()[i];
    parity ^= lane_values()[i];
    least = std::min(least, lane_values()[i]);
  }
  return {.inputs = {lane_values()},
          .expected = words(32, [&](std::size_t i) { return i % 4 == 3 ? 0 : sum ^ least ^ parity; })};
}

Data butterfly() {
  return {.inputs = {lane_values()}, .expected = words(32, [](std::size_t) { return total(lane_values()); })};
}

Data compacted() {
  Words kept = lane_values();
  std::stable_partition(kept.begin(), kept.end(), [](std::uint32_t value) { return value % 2 == 1; });
  return {.inputs = {lane_values()}, .expected = kept};
}

Data segments() {
  return {.inputs = {lane_values()}, .expected = words(32, [](std::size_t i) {
                                       const std::size_t first = i / 8 * 8, at = i % 8;
                                       const std::uint32_t below = lane_values()[at >= 3 ? i - 3 : i];
                                       const std::uint32_t above = lane_values()[at < 6 ? i + 2 : i];
                                       return below ^ (above * 3) ^ (lane_values()[first] * 5);
                                     })};
}

}  // namespace

std::span<const TestProgram> warp_programs() {
  static const std::vector<TestProgram> programs = {
      {"rotated",
       "rotated",
       "",
       shape_of(1, 32),
       rotated,
       {{"no __syncwarp between the store and the load", {kRace, kUninitialised}},
        {"no __syncwarp between the load and the next store", {kRace}}}},
      {"warp_tail",
       "warp_tail",
       "",
       shape_of(1, 32),
       warp_tail,
       {{"lanes are trusted to run in step", {kRace, kUninitialised}}}},
      {"halves",
       "halves",
       "",
       shape_of(1, 32),
       halves,
       {{"one half waits for both", {kBarrier, kDeadlock}}, {"one half does not wait", {kRace, kUninitialised}}}},
      {"matched",
       "matched",
       "",
       shape_of(1, 32),
       matched,
       {{"the first lane of the warp instead of the first of its peers", {}, true}}},
      {"reduced",
       "reduced",
       "",
       shape_of(1, 32),
       reduced,
       {{"the mask names a lane that has left", {kBarrier, kDeadlock}},
        {"the mask leaves out a lane that takes part", {kBarrier}}}},
      {"butterfly",
       "butterfly",
       "",
       shape_of(1, 32),
       butterfly,
       {{"half of the lanes do not come to the shuffle", {kBarrier, kDeadlock}}}},
      {"compacted", "compacted", "", shape_of(1, 32), compacted, {{"two lanes write to one place", {kRace}, true}}},
      {"segments",
       "segments",
       "",
       shape_of(1, 32),
       segments,
       {{"the width of a warp instead of a segment's", {}, true}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
