#include <numeric>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

// More than are resident in an ordinary launch.
constexpr std::uint32_t kCtas = 6;
constexpr std::uint32_t kThreads = 64;
constexpr std::size_t kAll = kCtas * kThreads;

LaunchShape cooperative() {
  LaunchShape shape = shape_of(kCtas, kThreads);
  shape.cooperative = true;
  return shape;
}

Words zeros(std::size_t n) {
  return Words(n, 0);
}

Data opposite_rows() {
  return {.inputs = {words(kAll, scrambled), zeros(kAll)},
          .expected = words(kAll, [](std::size_t i) { return scrambled(kAll - 1 - i) + 1; })};
}

Data rounds() {
  Words values = words(kAll, scrambled);
  Data data = {.inputs = {values, zeros(kAll), zeros(kAll)}};
  for (int round = 0; round < 4; ++round) {
    values = words(kAll, [&](std::size_t i) { return values[i] + values[(i + 1) % kAll]; });
  }
  data.expected = values;
  return data;
}

Data sum_of_sums() {
  const Words values = words(kAll, scrambled);
  return {.inputs = {values, zeros(kCtas)}, .expected = {std::accumulate(values.begin(), values.end(), 0u)}};
}

}  // namespace

std::span<const TestProgram> grid_programs() {
  static const std::vector<TestProgram> programs = {
      {"opposite_rows",
       "opposite_rows",
       "",
       cooperative(),
       opposite_rows,
       {{"a barrier of the CTA", {kRace}}, {"a fence", {kRace}}}},
      {"grid_rounds",
       "rounds",
       "",
       cooperative(),
       rounds,
       {{"one row for both", {kRace}}, {"a round without its barrier", {kRace}}}},
      {"sum_of_sums", "sum_of_sums", "", cooperative(), sum_of_sums, {{"a read before the wait", {kRace}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
