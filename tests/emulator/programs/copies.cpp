#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data one_copy() {
  return reversed_rows(1, 256);
}

Data ring_of_copies() {
  return reversed_rows(6, 64);
}

Data zero_filled() {
  return {.inputs = {words(200, scrambled)},
          .expected = words(256, [](std::size_t i) { return (i ^ 4) < 200 ? scrambled(i ^ 4) : 0; })};
}

Data source_reused() {
  return {.inputs = {words(128, scrambled)}, .expected = words(128, scrambled)};
}

Data pipeline_primitives() {
  return {.inputs = {words(128, scrambled)},
          .expected = words(64, [](std::size_t i) { return scrambled(63 - i) + 3 * scrambled(127 - i); })};
}

Data thread_pipeline() {
  return reversed_rows(4, 128);
}

}  // namespace

std::span<const TestProgram> copy_programs() {
  static const std::vector<TestProgram> programs = {
      {"one_copy",
       "one_copy",
       "",
       shape_of(1, 64),
       one_copy,
       {{"no wait", {kPending}},
        {"a wait that lets the copy stay in flight", {kPending}},
        {"no barrier after the wait", {kRace, kPending, kUninitialised}}}},
      {"ring_of_copies",
       "ring_of_copies",
       "",
       shape_of(1, 64),
       ring_of_copies,
       {{"a wait that is one group too weak", {kPending}},
        {"no barrier after the wait", {kRace, kPending, kUninitialised}},
        {"no empty groups at the end", {kPending}},
        {"a stage that is filled while others read it", {kRace, kPending}}}},
      {"zero_filled",
       "zero_filled",
       "",
       shape_of(1, 64),
       zero_filled,
       {{"copies of what lies outside", {kOutOfBounds}},
        {"no barrier after the wait", {kRace, kPending, kUninitialised}}}},
      {"source_reused",
       "source_reused",
       "",
       shape_of(1, 32),
       source_reused,
       {{"the source is overwritten before the wait", {kPending}}}},
      {"pipeline_primitives",
       "pipeline_primitives",
       "",
       shape_of(1, 64),
       pipeline_primitives,
       {{"the first wait is one group too weak", {kPending}},
        {"no barrier after the first wait", {kRace, kPending, kUninitialised}},
        {"the second wait is one group too weak", {kPending}}}},
      {"thread_pipeline",
       "thread_pipeline",
       "",
       shape_of(1, 32),
       thread_pipeline,
       {{"only the first stage is waited for", {kPending}},
        {"no barrier after the wait", {kRace, kPending, kUninitialised}},
        {"no barrier before the stage is filled again", {kRace, kPending}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
