#include "tests/emulator/programs/halves.h"
#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

Data multiplied(HalfType type, std::size_t columns) {
  const Matrix a = different_integers(64, 64, type), b = selection(64, columns);
  const Matrix c = different_integers(64, columns, type);
  return {.inputs = {half_words(type, a), half_words(type, transposed(b)), float_words(c)},
          .expected = float_words(product(a, b, c))};
}

const PlantedFault kWrongLayout = {
    "strides that change places, or another swizzle", {kUninitialised, kOutOfBounds}, true};

TestProgram tiles(std::string name, std::string_view arguments, std::size_t columns, HalfType type = HalfType::kF16) {
  return {std::move(name), "tiles_multiplied", arguments, shape_of(1, 128), [=] { return multiplied(type, columns); },
          {kWrongLayout}};
}

TestProgram registers(std::string name, std::string_view arguments, HalfType type) {
  return {std::move(name),
          "registers_multiplied",
          arguments,
          shape_of(1, 128),
          [=] { return multiplied(type, 64); },
          {kWrongLayout, {"no wgmma.fence before the first product", {kRegister}}}};
}

/// All that a warpgroup may forget.
TestProgram fenced() {
  TestProgram program = tiles("wgmma_fences", "kF16, 64, 128, false, false", 64);
  program.faults.push_back({"no wgmma.fence before the first product", {kRegister}});
  program.faults.push_back({"the sums are read before the wait", {kRegister, kPending}});
  program.faults.push_back({"no proxy fence between the stores and the product", {kProxy}});
  program.faults.push_back({"no barrier between the stores and the product", {kRace, kProxy, kUninitialised}});
  return program;
}

TensorMap halves_of_256_columns() {
  TensorMap map;
  map.element = TensorElement::kF16;
  map.rank = 2;
  map.sizes = {256, 64};
  map.strides = {512};
  map.box = {64, 64};
  map.swizzle = TensorSwizzle::k128;
  return map;
}

Data copied_and_multiplied() {
  const Matrix a = different_integers(64, 256, HalfType::kF16), b = selection(256, 64);
  return {.maps = {{halves_of_256_columns(), 0}, {halves_of_256_columns(), 1}},
          .inputs = {half_words(HalfType::kF16, a), half_words(HalfType::kF16, transposed(b))},
          .expected = float_words(product(a, b))};
}

}  // namespace

std::span<const TestProgram> warpgroup_programs() {
  static const std::vector<TestProgram> programs = {
      tiles("wgmma_none", "kF16, 64, 0, false, false", 64),
      tiles("wgmma_swizzle_32", "kF16, 64, 32, false, false", 64),
      tiles("wgmma_swizzle_64", "kF16, 64, 64, false, false", 64),
      fenced(),
      tiles("wgmma_b_mn_none", "kF16, 128, 0, false, true", 128),
      tiles("wgmma_b_mn_swizzle_32", "kF16, 128, 32, false, true", 128),
      tiles("wgmma_b_mn_swizzle_64", "kF16, 128, 64, false, true", 128),
      tiles("wgmma_b_mn_swizzle_128", "kF16, 128, 128, false, true", 128),
      tiles("wgmma_a_mn_none", "kF16, 64, 0, true, false", 64),
      tiles("wgmma_a_mn_swizzle_32", "kF16, 64, 32, true, false", 64),
      tiles("wgmma_a_mn_swizzle_64", "kF16, 64, 64, true, false", 64),
      tiles("wgmma_a_mn_swizzle_128", "kF16, 64, 128, true, false", 64),
      tiles("wgmma_both_mn", "kBf16, 64, 128, true, true", 64, HalfType::kBf16),
      tiles("wgmma_bf16", "kBf16, 64, 128, false, false", 64, HalfType::kBf16),
      tiles("wgmma_n8", "kF16, 8, 128, false, false", 8),
      tiles("wgmma_n24", "kF16, 24, 64, false, false", 24),
      tiles("wgmma_n256", "kF16, 256, 128, false, false", 256),
      registers("wgmma_registers_f16", "kF16, 128, false", HalfType::kF16),
      registers("wgmma_registers_bf16_mn", "kBf16, 64, true", HalfType::kBf16),
  };
  return programs;
}

std::span<const TestProgram> copied_tile_programs() {
  static const std::vector<TestProgram> programs = {
      {"copied_and_multiplied",
       "copied_and_multiplied",
       "",
       shape_of(1, 256),
       copied_and_multiplied,
       {{"the producer does not wait for an empty stage", {kRace, kPending, kMbarrier}},
        {"the warpgroup does not wait for a full stage", {kRace, kPending, kUninitialised, kMbarrier}},
        {"the stage is given back before the product is complete", {kRace, kPending}},
        {"half of the bytes are expected", {kPending, kMbarrier, kRace}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
