#include <numeric>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data reversed() {
  return {.inputs = {words(128, scrambled)}, .expected = words(128, [](std::size_t i) { return scrambled(127 - i); })};
}

Data tree_sum() {
  const Words input = words(128, scrambled);
  return {.inputs = {input}, .expected = {std::accumulate(input.begin(), input.end(), 0u)}};
}

Data transposed() {
  const auto source = [](std::size_t i) { return scrambled(i / 256 * 256 + i % 16 * 16 + i % 256 / 16); };
  return {.inputs = {words(512, scrambled)}, .expected = words(512, source)};
}

Data two_buffers() {
  const Words input = words(96, scrambled);
  Words row = input;
  for (int step = 0; step < 4; ++step) {
    row = words(96, [row](std::size_t i) { return row[(i + 95) % 96] + row[(i + 1) % 96]; });
  }
  return {.inputs = {input}, .expected = row};
}

Data ordered_roles() {
  const auto sum = [](std::size_t i) {
    std::uint32_t result = 0;
    for (std::size_t step = 0; step < 4; ++step) result += scrambled(32 * step + (i + step) % 32);
    return result;
  };
  return {.inputs = {words(128, scrambled)}, .expected = words(96, sum)};
}

Data counted_votes() {
  // Odd in one warp of three only, large in one lane only, never zero.
  const Words input = words(96, [](std::size_t i) { return i == 70 ? 0xffffffffu : i < 32 ? 2 * i + 1 : 2 * i; });
  return {.inputs = {input}, .expected = words(96, [](std::size_t) { return 33u << 2 | 3; })};
}

Data counted_bins() {
  const Words input = words(512, scrambled);
  Words bins(16);
  for (const std::uint32_t each : input) ++bins[each % 16];
  return {.inputs = {input}, .expected = bins};
}

Data running_sums() {
  const Words input = words(128, scrambled);
  Words sums(128);
  std::partial_sum(input.begin(), input.end(), sums.begin());
  return {.inputs = {input}, .expected = sums};
}

Data early_leavers() {
  return {.inputs = {words(128, scrambled)},
          .expected = words(128, [](std::size_t i) { return i < 96 ? scrambled(95 - i) : 0; })};
}

}  // namespace

std::span<const TestProgram> barrier_programs() {
  static const std::vector<TestProgram> programs = {
      {"reversed",
       "reversed",
       "",
       shape_of(1, 128),
       reversed,
       {{"no barrier between stores and loads", {kRace, kUninitialised}}}},
      {"tree_sum",
       "tree_sum",
       "",
       shape_of(1, 128),
       tree_sum,
       {{"no barrier between the steps", {kRace}}, {"a barrier that only some threads reach", {kBarrier, kDeadlock}}}},
      {"transposed",
       "transposed",
       "",
       shape_of(1, 256),
       transposed,
       {{"no barrier before the tile is read", {kRace, kUninitialised}},
        {"no barrier before the tile is used again", {kRace}}}},
      {"two_buffers",
       "two_buffers",
       "",
       shape_of(1, 96),
       two_buffers,
       {{"no barrier between the steps", {kRace, kUninitialised}}, {"a step in place", {kRace}}}},
      {"ordered_roles",
       "ordered_roles",
       "",
       shape_of(1, 128),
       ordered_roles,
       {{"the producer does not wait for an empty buffer", {kRace, kDeadlock, kBarrier}},
        {"the consumers arrive and do not wait", {kRace, kUninitialised}},
        {"one consumer warp never says that it is done", {kDeadlock, kBarrier}}}},
      {"counted_votes",
       "counted_votes",
       "",
       shape_of(1, 96),
       counted_votes,
       {{"votes of a warp instead of the CTA's", {}, true}}},
      {"counted_bins",
       "counted_bins",
       "",
       shape_of(1, 128),
       counted_bins,
       {{"additions that are not atomic", {kRace}},
        {"no barrier after the bins are cleared", {kRace, kUninitialised}},
        {"no barrier before the bins are read", {kRace}}}},
      {"running_sums",
       "running_sums",
       "",
       shape_of(1, 128),
       running_sums,
       {{"no barrier before the sums of other warps are read", {kRace, kUninitialised}}}},
      {"early_leavers",
       "early_leavers",
       "",
       shape_of(1, 128),
       early_leavers,
       {{"a barrier that counts the threads that have left", {kDeadlock, kBarrier}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
