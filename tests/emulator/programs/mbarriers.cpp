#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data met_at_mbarrier() {
  return reversed_rows(1, 64);
}

Data ring_of_roles() {
  return reversed_rows(6, 32);
}

Data waited_by_token() {
  return {.inputs = {words(64, scrambled)},
          .expected = words(64, [](std::size_t i) { return scrambled((i + 3) % 64); })};
}

Data dropped() {
  return {.inputs = {words(64, scrambled)}, .expected = words(32, [](std::size_t i) { return scrambled(63 - i); })};
}

Data copies_arrive() {
  return reversed_rows(1, 256);
}

Data library_phases() {
  return {.inputs = {words(64, scrambled)},
          .expected = words(64, [](std::size_t i) { return scrambled((i + 3) % 64) + 3; })};
}

Data pipeline_roles() {
  return reversed_rows(5, 32);
}

}  // namespace

std::span<const TestProgram> mbarrier_programs() {
  static const std::vector<TestProgram> programs = {
      {"met_at_mbarrier",
       "met_at_mbarrier",
       "",
       shape_of(1, 64),
       met_at_mbarrier,
       {{"no wait", {kRace, kUninitialised}},
        {"used by threads that do not know it initialised", {kMbarrier, kRace, kUninitialised}},
        {"a phase that ends one arrival early", {kRace, kUninitialised}},
        {"a phase that waits for one arrival more", {kDeadlock}}}},
      {"ring_of_roles",
       "ring_of_roles",
       "",
       shape_of(1, 64),
       ring_of_roles,
       {{"the producer does not wait for an empty stage", {kRace, kMbarrier}},
        {"the consumer waits for the other parity", {kRace, kMbarrier, kUninitialised, kDeadlock}},
        {"one consumer never says that it is done", {kDeadlock}},
        {"the producer says full before it stores", {kRace, kUninitialised}}}},
      {"waited_by_token",
       "waited_by_token",
       "",
       shape_of(1, 64),
       waited_by_token,
       {{"the token of an older phase", {kRace, kMbarrier}}}},
      {"dropped", "dropped", "", shape_of(1, 64), dropped, {{"the warp that leaves does not say so", {kDeadlock}}}},
      {"copies_arrive",
       "copies_arrive",
       "",
       shape_of(1, 64),
       copies_arrive,
       {{"the thread arrives, its copies do not", {kPending}}, {"no wait", {kPending, kRace, kUninitialised}}}},
      {"library_phases",
       "library_phases",
       "",
       shape_of(1, 64),
       library_phases,
       {{"only the last phase is waited for", {kRace, kUninitialised}},
        {"used by threads that do not know it initialised", {kMbarrier, kRace, kUninitialised}}}},
      {"pipeline_roles",
       "pipeline_roles",
       "",
       shape_of(1, 64),
       pipeline_roles,
       {{"the consumer does not wait", {kPending, kRace, kUninitialised}},
        {"one stage is never given back", {kDeadlock, kRace}},
        {"a stage is cleared that the consumer may still read", {kRace}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
