#include "tests/emulator/programs/program.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {

std::string TestProgram::instance(std::size_t fault) const {
  return fmt::format("{}<{}{}{}>", kernel, arguments, arguments.empty() ? "" : ", ", fault);
}

std::span<const Theme> all_themes() {
  static const std::vector<Theme> themes = {
      {"atomics", "80", atomic_programs()},
      {"barriers", "80", barrier_programs()},
      {"bulk_copies", "90a", bulk_copy_programs()},
      {"clusters", "90a", cluster_programs()},
      {"copied_tiles", "90a", copied_tile_programs()},
      {"copies", "80", copy_programs()},
      {"counted_stores", "90a", counted_store_programs()},
      {"fragments", "80", fragment_programs()},
      {"grids", "80", grid_programs()},
      {"groups", "80", group_programs()},
      {"matrices", "80", matrix_programs()},
      {"mbarriers", "90a", mbarrier_programs()},
      {"stored_matrices", "90a", stored_matrix_programs()},
      {"tensor_copies", "90a", tensor_copy_programs()},
      {"warpgroups", "90a", warpgroup_programs()},
      {"warps", "80", warp_programs()},
  };
  return themes;
}

LaunchShape shape_of(std::uint32_t ctas, std::uint32_t threads, std::size_t dynamic_shared_bytes) {
  LaunchShape shape;
  shape.grid[0] = ctas;
  shape.block[0] = threads;
  shape.dynamic_shared_bytes = dynamic_shared_bytes;
  return shape;
}

LaunchShape clustered(std::uint32_t ctas, std::uint32_t cluster, std::uint32_t threads) {
  LaunchShape shape = shape_of(ctas, threads);
  shape.cluster[0] = cluster;
  return shape;
}

std::uint32_t scrambled(std::size_t i) {
  auto x = static_cast<std::uint32_t>(i) * 0x9e3779b1u + 0x7f4a7c15u;
  x ^= x >> 15;
  x *= 0x2c1b3c6du;
  return x ^ x >> 12;
}

Data reversed_rows(std::size_t rows, std::size_t row) {
  const auto source = [row](std::size_t i) { return scrambled(i / row * row + row - 1 - i % row); };
  return {.inputs = {words(rows * row, scrambled)}, .expected = words(rows * row, source)};
}

std::string difference(const TestProgram& program, const Words& expected, const Words& given) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == given[i]) continue;
    const double wanted = std::bit_cast<float>(expected[i]);
    const double got = std::bit_cast<float>(given[i]);
    if (program.bound == 0) {
      return fmt::format("word {} is {:#x} ({}), not {:#x} ({})", i, given[i], got, expected[i], wanted);
    }
    if (!(std::abs(got - wanted) <= program.bound)) {
      return fmt::format("word {} is {}, more than {} from {}", i, got, program.bound, wanted);
    }
  }
  return {};
}

}  // namespace flashmask::emulator::programs
