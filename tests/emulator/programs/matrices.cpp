#include <fmt/format.h>

#include "tests/emulator/programs/halves.h"
#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data loaded_matrices(std::size_t count, bool is_transposed) {
  std::vector<std::uint16_t> elements(64 * count);
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<std::uint16_t>(i + 1);
  const auto registers = [&](std::size_t i) {
    const std::size_t row = i % 32 / 4, pair = 2 * (i % 4);
    const std::uint16_t* matrix = elements.data() + i / 32 * 64;
    return is_transposed ? matrix[8 * pair + row] | matrix[8 * pair + 8 + row] << 16
                         : matrix[8 * row + pair] | matrix[8 * row + pair + 1] << 16;
  };
  return {.inputs = {packed(elements)}, .expected = words(32 * count, registers)};
}

TestProgram loading(std::size_t count, bool is_transposed, std::string_view arguments) {
  return {fmt::format("ldmatrix_x{}{}", count, is_transposed ? "_trans" : ""),
          "loaded_matrices",
          arguments,
          shape_of(1, 32),
          [=] { return loaded_matrices(count, is_transposed); },
          {{"the other orientation", {}, true},
           {"no __syncwarp before the load", {kRace, kUninitialised}},
           {"the address of the next row", {}, true}}};
}

Data multiplied(HalfType type, std::size_t depth) {
  const Matrix a = different_integers(16, depth, type), b = selection(depth, 8);
  const Matrix c = different_integers(16, 8, type);
  return {.inputs = {half_words(type, a), half_words(type, transposed(b)), float_words(c)},
          .expected = float_words(product(a, b, c))};
}

Data multiplied_half(std::size_t depth) {
  // As small as bfloat16's, so that the sums are exact in half precision too.
  const Matrix a = different_integers(16, depth, HalfType::kBf16), b = selection(depth, 8);
  const Matrix c = different_integers(16, 8, HalfType::kBf16);
  return {.inputs = {half_words(HalfType::kF16, a), half_words(HalfType::kF16, transposed(b)),
                     half_words(HalfType::kF16, c)},
          .expected = half_words(HalfType::kF16, product(a, b, c))};
}

TestProgram multiplying(std::string name, std::string_view arguments, HalfType type, std::size_t depth) {
  return {
      std::move(name),
      "multiplied",
      arguments,
      shape_of(1, 32),
      [=] { return multiplied(type, depth); },
      {{"the rows of A change places", {}, true}, {"B by rows", {}, true}, {"the rows of D change places", {}, true}}};
}

TestProgram multiplying_half(std::string name, std::string_view arguments, std::size_t depth) {
  return {std::move(name),
          "multiplied_half",
          arguments,
          shape_of(1, 32),
          [=] { return multiplied_half(depth); },
          {{"the rows of A change places", {}, true}}};
}

Data tile_product() {
  const Matrix a = different_integers(32, 64, HalfType::kF16), b = selection(64, 8);
  return {.inputs = {half_words(HalfType::kF16, a), half_words(HalfType::kF16, b)},
          .expected = float_words(product(a, b))};
}

}  // namespace

std::span<const TestProgram> matrix_programs() {
  static const std::vector<TestProgram> programs = {
      loading(1, false, "1, false"),
      loading(1, true, "1, true"),
      loading(2, false, "2, false"),
      loading(2, true, "2, true"),
      loading(4, false, "4, false"),
      loading(4, true, "4, true"),
      multiplying("mma_f16_k8", "kF16, 8", HalfType::kF16, 8),
      multiplying("mma_f16_k16", "kF16, 16", HalfType::kF16, 16),
      multiplying("mma_bf16_k8", "kBf16, 8", HalfType::kBf16, 8),
      multiplying("mma_bf16_k16", "kBf16, 16", HalfType::kBf16, 16),
      multiplying_half("mma_half_sums_k8", "8", 8),
      multiplying_half("mma_half_sums_k16", "16", 16),
      {"tile_product",
       "tile_product",
       "",
       shape_of(1, 64),
       tile_product,
       {{"a wait that is one group too weak", {kPending}},
        {"no barrier after the wait", {kRace, kPending, kUninitialised}},
        {"B is not transposed", {}, true},
        {"no barrier before the stage is filled again", {kRace, kPending}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
