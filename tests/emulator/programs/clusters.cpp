#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

/// Each of two rows ends up in the other's place, reversed.
Data exchanged(std::size_t row) {
  return {.inputs = {words(2 * row, scrambled)}, .expected = words(2 * row, [row](std::size_t i) {
                                                   return scrambled((i / row ^ 1) * row + row - 1 - i % row);
                                                 })};
}

Data multicast() {
  return {.inputs = {words(64, scrambled)},
          .expected = words(128, [](std::size_t i) { return scrambled(63 - i % 64) + i / 64; })};
}

Data register_budget() {
  return {.inputs = {words(384, scrambled)},
          .expected = words(384, [](std::size_t i) { return i < 128 ? scrambled(i) : 3 * scrambled(i); })};
}

}  // namespace

std::span<const TestProgram> cluster_programs() {
  static const std::vector<TestProgram> programs = {
      {"neighbours",
       "neighbours",
       "",
       clustered(2, 2, 32),
       [] { return exchanged(32); },
       {{"no barrier of the cluster before the row is read", {kRace, kUninitialised}},
        {"the CTA ends while its neighbour reads its memory", {kRace, kOutOfBounds}}}},
      {"split_cluster_barrier",
       "split_cluster_barrier",
       "",
       clustered(2, 2, 32),
       [] { return exchanged(32); },
       {{"a relaxed arrival", {kRace}}, {"the row is read before the wait", {kRace, kUninitialised}}}},
      {"remote_arrivals",
       "remote_arrivals",
       "",
       clustered(2, 2, 32),
       [] { return reversed_rows(2, 32); },
       {{"no wait", {kRace, kUninitialised}},
        {"arrivals without release", {kRace}},
        {"used by a CTA that does not know it initialised", {kMbarrier, kRace, kUninitialised}}}},
      {"multicast",
       "multicast",
       "",
       clustered(2, 2, 64),
       multicast,
       {{"the other CTA may not have initialised its mbarrier", {kMbarrier, kRace, kUninitialised}},
        {"the other CTA is not among the receivers", {kDeadlock}},
        {"no wait", {kPending, kUninitialised, kRace}}}},
      {"shared_to_shared",
       "shared_to_shared",
       "",
       clustered(2, 2, 64),
       [] { return exchanged(64); },
       {{"no proxy fence between the stores and the copy", {kProxy}}, {"no wait", {kPending, kRace, kUninitialised}}}},
      {"register_budget",
       "register_budget",
       "",
       shape_of(1, 384),
       register_budget,
       {{"nobody gives registers away", {kRegister, kDeadlock}}}},
  };
  return programs;
}

std::span<const TestProgram> counted_store_programs() {
  static const std::vector<TestProgram> programs = {
      {"counted_stores",
       "counted_stores",
       "",
       clustered(2, 2, 32),
       [] { return exchanged(32); },
       {{"no wait", {kPending, kRace, kUninitialised}},
        {"half of the bytes are expected", {kPending, kMbarrier, kRace, kUninitialised}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
