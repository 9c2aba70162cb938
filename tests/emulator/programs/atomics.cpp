#include <algorithm>
#include <bit>
#include <numeric>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Words zeros(std::size_t n) {
  return Words(n, 0);
}

Data last_block_sum() {
  const Words input = words(96, scrambled);
  return {.inputs = {input, zeros(1), zeros(3)}, .expected = {std::accumulate(input.begin(), input.end(), 0u)}};
}

Data message() {
  return {.inputs = {words(64, scrambled), zeros(1), zeros(64)},
          .expected = words(64, [](std::size_t i) { return scrambled(63 - i); })};
}

Data locked_sum() {
  const Words input = words(4, scrambled);
  return {.inputs = {input, zeros(1), zeros(1), zeros(1)},
          .expected = {std::accumulate(input.begin(), input.end(), 0u)}};
}

Data float_maximum() {
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(scrambled(i) % 100000) / 8;
  const float greatest = *std::max_element(values.begin(), values.end());
  return {.inputs = {words(128, [&](std::size_t i) { return std::bit_cast<std::uint32_t>(values[i]); }), zeros(1),
                     zeros(1)},
          .expected = {std::bit_cast<std::uint32_t>(greatest)}};
}

Data library_barrier() {
  return {.inputs = {words(96, scrambled), zeros(1), zeros(96)},
          .expected = words(96, [](std::size_t i) { return scrambled((i + 32) % 96); })};
}

Data fenced_message() {
  return {.inputs = {words(64, scrambled), zeros(1), zeros(64)}, .expected = words(64, scrambled)};
}

Data chained_sums() {
  const Words input = words(96, scrambled);
  Words sums(96);
  std::partial_sum(input.begin(), input.end(), sums.begin());
  return {.inputs = {input, zeros(3), zeros(3)}, .expected = sums};
}

Data appended() {
  return {.inputs = {words(128, [](std::size_t i) { return i; }), zeros(1)},
          .expected = words(128, [](std::size_t i) { return i % 3 != 0; })};
}

}  // namespace

std::span<const TestProgram> atomic_programs() {
  static const std::vector<TestProgram> programs = {
      {"last_block_sum",
       "last_block_sum",
       "",
       shape_of(3, 32),
       last_block_sum,
       {{"no fence before the ticket", {kRace}}, {"no fence after the ticket", {kRace}}}},
      {"message",
       "message",
       "",
       shape_of(2, 64),
       message,
       {{"the flag is raised without release", {kRace}},
        {"the flag is read without acquire", {kRace}},
        {"a release to the own CTA only", {kRace}},
        {"the flag promises what other threads have yet to write", {kRace}}}},
      {"locked_sum",
       "locked_sum",
       "",
       shape_of(2, 64),
       locked_sum,
       {{"no fence before the lock is given back", {kRace}},
        {"no fence after the lock is taken", {kRace}},
        {"the lock is given back by an ordinary store", {kRace}}}},
      {"float_maximum",
       "float_maximum",
       "",
       shape_of(2, 64),
       float_maximum,
       {{"a look and a store instead of compare and swap", {kRace}}}},
      {"library_barrier",
       "library_barrier",
       "",
       shape_of(3, 32),
       library_barrier,
       {{"a relaxed arrival", {kRace}}, {"a relaxed look", {kRace}}, {"a scope of one CTA", {kRace}}}},
      {"fenced_message",
       "fenced_message",
       "",
       shape_of(2, 64),
       fenced_message,
       {{"no release fence", {kRace}}, {"no acquire fence", {kRace}}}},
      {"chained_sums",
       "chained_sums",
       "",
       shape_of(3, 32),
       chained_sums,
       {{"the flag is raised before the sum is there", {kRace}}}},
      {"appended",
       "appended",
       "",
       shape_of(1, 128),
       appended,
       {{"the length is not counted by an atomic", {kRace}},
        {"the leader keeps the place to itself", {kRace, kUninitialised}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
