#include "tests/emulator/programs/halves.h"
#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Matrix times(int factor, const Matrix& matrix) {
  return matrix_of(matrix.rows, matrix.columns,
                   [&](std::size_t row, std::size_t column) { return factor * matrix.at(row, column); });
}

struct Shape {
  HalfType type = HalfType::kF16;
  std::size_t m = 16, n = 16;
  bool a_by_columns = false, b_by_columns = false;
};

Data multiplied(const Shape& shape) {
  const Matrix a = different_integers(shape.m, 16, shape.type), b = selection(16, shape.n);
  const Matrix c = different_integers(shape.m, shape.n, shape.type);
  return {.inputs = {half_words(shape.type, shape.a_by_columns ? transposed(a) : a),
                     half_words(shape.type, shape.b_by_columns ? transposed(b) : b), float_words(c)},
          .expected = float_words(product(a, b, times(2, c)))};
}

TestProgram multiplying(std::string name, std::string_view arguments, const Shape& shape) {
  return {std::move(name),
          "multiplied",
          arguments,
          shape_of(1, 32),
          [=] { return multiplied(shape); },
          {{"no __syncwarp between the copy and the load", {kRace, kUninitialised}},
           {"the other layout of A", {}, true},
           {"the other layout of B", {}, true},
           {"the other layout of D", {}, true},
           {"an operation that leaves elements out", {}, true}}};
}

Data multiplied_half(std::size_t m, std::size_t n) {
  // As small as bfloat16's, so that the sums are exact in half precision.
  const Matrix a = different_integers(m, 16, HalfType::kBf16), b = selection(16, n);
  const Matrix fives = matrix_of(m, n, [](std::size_t, std::size_t) { return 5; });
  return {.inputs = {half_words(HalfType::kF16, a), half_words(HalfType::kF16, transposed(b))},
          .expected = half_words(HalfType::kF16, product(times(2, a), b, fives))};
}

TestProgram multiplying_half(std::string name, std::string_view arguments, std::size_t m, std::size_t n) {
  return {std::move(name),
          "multiplied_half",
          arguments,
          shape_of(1, 32),
          [=] { return multiplied_half(m, n); },
          {{"the product twice", {}, true}, {"the other layout of D", {}, true}}};
}

Data tile_product(HalfType type) {
  const Matrix a = different_integers(32, 64, type), b = selection(64, 32);
  return {.inputs = {half_words(type, a), half_words(type, b)}, .expected = float_words(product(a, b))};
}

TestProgram multiplying_tiles(std::string name, std::string_view arguments, HalfType type) {
  return {std::move(name),
          "tile_product",
          arguments,
          shape_of(1, 128),
          [=] { return tile_product(type); },
          {{"no barrier between the copy and the load", {kRace, kUninitialised}},
           {"no barrier before the tiles are filled again", {kRace}},
           {"the stride of the other tile", {kUninitialised}, true}}};
}

Data split_sums() {
  const Matrix a = different_integers(16, 32, HalfType::kF16), b = selection(32, 16);
  return {.inputs = {half_words(HalfType::kF16, a), half_words(HalfType::kF16, transposed(b))},
          .expected = float_words(product(a, b))};
}

}  // namespace

std::span<const TestProgram> fragment_programs() {
  static const std::vector<TestProgram> programs = {
      multiplying("wmma_f16_row_col", "__half, 16, 16, false, true", {.b_by_columns = true}),
      multiplying("wmma_f16_col_row", "__half, 16, 16, true, false", {.a_by_columns = true}),
      multiplying("wmma_f16_wide", "__half, 8, 32, false, false", {.m = 8, .n = 32}),
      multiplying("wmma_f16_tall", "__half, 32, 8, true, true",
                  {.m = 32, .n = 8, .a_by_columns = true, .b_by_columns = true}),
      multiplying("wmma_bf16", "__nv_bfloat16, 16, 16, false, false", {.type = HalfType::kBf16}),
      multiplying("wmma_bf16_wide", "__nv_bfloat16, 8, 32, true, false",
                  {.type = HalfType::kBf16, .m = 8, .n = 32, .a_by_columns = true}),
      multiplying_half("wmma_half_sums", "16, 16", 16, 16),
      multiplying_half("wmma_half_sums_tall", "32, 8", 32, 8),
      multiplying_tiles("wmma_tiles_f16", "__half", HalfType::kF16),
      multiplying_tiles("wmma_tiles_bf16", "__nv_bfloat16", HalfType::kBf16),
      {"wmma_split_sums",
       "split_sums",
       "",
       shape_of(1, 64),
       split_sums,
       {{"no barrier between the store and the load", {kRace, kUninitialised}}, {"the other layout", {}, true}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
