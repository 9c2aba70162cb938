#include <fmt/format.h>

#include "tests/emulator/programs/halves.h"
#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data stored_matrices(std::size_t count, bool is_transposed) {
  std::vector<std::uint16_t> held(64 * count), rows(64 * count);
  for (std::size_t i = 0; i < held.size(); ++i) {
    held[i] = static_cast<std::uint16_t>(i + 1);
    // Lane 4g + t holds elements 2t and 2t + 1 of row g, or of column g.
    const std::size_t matrix = i / 64, g = i % 64 / 8, at = i % 8;
    rows[64 * matrix + (is_transposed ? 8 * at + g : 8 * g + at)] = held[i];
  }
  return {.inputs = {packed(held)}, .expected = packed(rows)};
}

TestProgram storing(std::size_t count, bool is_transposed, std::string_view arguments) {
  return {fmt::format("stmatrix_x{}{}", count, is_transposed ? "_trans" : ""),
          "stored_matrices",
          arguments,
          shape_of(1, 32),
          [=] { return stored_matrices(count, is_transposed); },
          {{"the other orientation", {}, true},
           {"no __syncwarp after the store", {kRace, kUninitialised}},
           {"the address of the next row", {}, true}}};
}

}  // namespace

std::span<const TestProgram> stored_matrix_programs() {
  static const std::vector<TestProgram> programs = {
      storing(1, false, "1, false"), storing(1, true, "1, true"),   storing(2, false, "2, false"),
      storing(2, true, "2, true"),   storing(4, false, "4, false"), storing(4, true, "4, true"),
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
