#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data bulk_ring() {
  return {.inputs = {words(320, scrambled)}, .expected = words(320, [](std::size_t i) { return scrambled(i ^ 32); })};
}

Data bulk_last_words() {
  return {.inputs = {words(32, scrambled)}, .expected = words(32, scrambled)};
}

Data bulk_sums() {
  return {.inputs = {words(128, scrambled)},
          .initial = words(64, [](std::size_t i) { return i; }),
          .expected = words(64, [](std::size_t i) { return i + scrambled(i) + scrambled(i + 64); })};
}

Data there_and_back() {
  Data data = reversed_rows(1, 64);
  data.inputs.push_back(Words(64, 0));
  return data;
}

Data named_instructions() {
  return {.inputs = {words(64, scrambled)}, .expected = words(64, [](std::size_t i) { return scrambled(i) + i; })};
}

}  // namespace

std::span<const TestProgram> bulk_copy_programs() {
  static const std::vector<TestProgram> programs = {
      {"bulk_in",
       "bulk_in",
       "",
       shape_of(1, 128),
       [] { return reversed_rows(1, 128); },
       {{"no wait", {kPending, kRace}},
        {"half of the bytes are expected", {kPending, kMbarrier, kRace}},
        {"the mbarrier is used by threads that do not know it initialised", {kMbarrier, kRace, kUninitialised, kProxy}},
        {"no proxy fence between the stores and the copy", {kProxy}}}},
      {"bulk_ring",
       "bulk_ring",
       "",
       shape_of(1, 64),
       bulk_ring,
       {{"the producer does not wait for an empty stage", {kRace, kPending, kMbarrier}},
        {"the consumer waits for the first phase only", {kRace, kPending, kMbarrier, kDeadlock}},
        {"a stage is read after it was given back", {kRace, kPending}}}},
      {"bulk_out",
       "bulk_out",
       "",
       shape_of(1, 128),
       [] { return reversed_rows(2, 128); },
       {{"no proxy fence between the stores and the copy", {kProxy}},
        {"the row is written again while the copy reads it", {kPending, kRace}},
        {"no barrier between the stores and the copy", {kRace, kProxy, kUninitialised}}}},
      {"bulk_last_words",
       "bulk_last_words",
       "",
       shape_of(1, 32),
       bulk_last_words,
       {{"the CTA ends while the copy reads its memory", {kPending}}}},
      {"bulk_sums",
       "bulk_sums",
       "",
       shape_of(2, 64),
       bulk_sums,
       {{"no proxy fence between the stores and the copy", {kProxy}},
        {"a copy instead of an addition", {kRace, kPending}, true}}},
      {"there_and_back",
       "there_and_back",
       "",
       shape_of(1, 64),
       there_and_back,
       {{"the copy out has been read, but is not complete", {kPending, kRace}}}},
      {"library_bulk",
       "library_bulk",
       "",
       shape_of(1, 64),
       [] { return reversed_rows(1, 64); },
       {{"no wait", {kPending, kRace, kUninitialised}},
        {"the arrival does not name the bytes", {kPending, kMbarrier}}}},
      {"named_instructions",
       "named_instructions",
       "",
       shape_of(1, 64),
       named_instructions,
       {{"no proxy fence between the stores and the copy", {kProxy}},
        {"no barrier between the stores and the copy", {kRace, kProxy}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
