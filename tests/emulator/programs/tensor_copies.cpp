#include <fmt/format.h>

#include <array>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

/// A packed tensor of 32-bit elements.
TensorMap packed_words(const std::vector<std::uint64_t>& sizes, const std::vector<std::uint32_t>& box) {
  TensorMap map;
  map.element = TensorElement::kU32;
  map.rank = static_cast<std::uint32_t>(sizes.size());
  std::uint64_t stride = 4;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    map.sizes[i] = sizes[i];
    map.box[i] = box[i];
    stride *= sizes[i];
    if (i + 1 < sizes.size()) map.strides[i] = stride;
  }
  return map;
}

/// A box, some of it outside of the tensor, where zeros are.
Data tensor_in(const TensorMap& map, const std::vector<int>& corner) {
  std::size_t elements = 1, in_box = 1;
  for (std::size_t i = 0; i < map.rank; ++i) {
    elements *= map.sizes[i];
    in_box *= (map.box[i] + map.element_strides[i] - 1) / map.element_strides[i];
  }
  const auto element = [&](std::size_t i) {
    std::size_t at = 0, stride = 1;
    for (std::size_t d = 0; d < map.rank; ++d) {
      const std::size_t extent = (map.box[d] + map.element_strides[d] - 1) / map.element_strides[d];
      const std::int64_t x = corner[d] + static_cast<std::int64_t>(i % extent * map.element_strides[d]);
      if (x < 0 || x >= static_cast<std::int64_t>(map.sizes[d])) return 0u;
      at += static_cast<std::size_t>(x) * stride;
      stride *= map.sizes[d];
      i /= extent;
    }
    return scrambled(at);
  };
  return {.maps = {{map, 1}},
          .inputs = {words(corner.size(), [&](std::size_t i) { return corner[i]; }), words(elements, scrambled)},
          .expected = words(in_box, element)};
}

TestProgram loading(std::string name, std::string_view arguments, TensorMap map, std::vector<int> corner) {
  std::vector<PlantedFault> faults = {
      {"no wait", {kPending, kUninitialised, kRace}},
      {"a box that begins 16 bytes further on", {}, true},
      {"a box that does not begin at a multiple of 16 bytes", {kMisaligned}},
  };
  // One coordinate has no order.
  if (map.rank > 1) faults.push_back({"the coordinates from the outermost in", {kMisaligned}, true});
  return {std::move(name),  "tensor_in", arguments, shape_of(1, 32), [=] { return tensor_in(map, corner); },
          std::move(faults)};
}

TensorMap swizzled_map(std::uint32_t span) {
  const std::uint32_t row = (span == 0 ? 32 : span) / 4;
  TensorMap map = packed_words({row, 16}, {row, 16});
  map.swizzle = span == 0    ? TensorSwizzle::kNone
                : span == 32 ? TensorSwizzle::k32
                : span == 64 ? TensorSwizzle::k64
                             : TensorSwizzle::k128;
  return map;
}

TestProgram swizzled_in(std::uint32_t span, std::string_view arguments) {
  const std::size_t elements = 4 * (span == 0 ? 32 : span);
  return {fmt::format("swizzle_{}_in", span),
          "swizzled_in",
          arguments,
          shape_of(1, 32),
          [=] {
            return Data{.maps = {{swizzled_map(span), 0}},
                        .inputs = {words(elements, scrambled)},
                        .expected = words(elements, scrambled)};
          },
          {{"another swizzle", {}, true}}};
}

TestProgram swizzled_out(std::uint32_t span, std::string_view arguments) {
  const std::size_t elements = 4 * (span == 0 ? 32 : span);
  return {fmt::format("swizzle_{}_out", span),
          "swizzled_out",
          arguments,
          shape_of(1, 32),
          [=] {
            return Data{.maps = {{swizzled_map(span), 1}},
                        .inputs = {words(elements, scrambled)},
                        .expected = words(elements, scrambled)};
          },
          {{"no proxy fence between the stores and the copy", {kProxy}},
           {"another swizzle", {}, true},
           {"the CTA ends while the copy reads its memory", {kPending}}}};
}

Data tensor_sums() {
  const auto sum = [](std::size_t i) {
    std::uint32_t value = static_cast<std::uint32_t>(i);
    if (i < 32) value += scrambled(i);
    if (i >= 24) value += scrambled(32 + i - 24);
    return value;
  };
  return {.maps = {{packed_words({8, 6}, {8, 4}), 1}},
          .inputs = {words(64, scrambled)},
          .initial = words(48, [](std::size_t i) { return i; }),
          .expected = words(48, sum)};
}

TensorMap every_other() {
  TensorMap map = packed_words({32, 12}, {16, 6});
  map.element_strides = {1, 2, 1, 1, 1};
  return map;
}

}  // namespace

std::span<const TestProgram> tensor_copy_programs() {
  static const std::vector<TestProgram> programs = {
      loading("tensor_1d", "1, 64", packed_words({100}, {64}), {52}),
      loading("tensor_2d", "2, 64", packed_words({20, 10}, {8, 8}), {-4, 5}),
      loading("tensor_3d", "3, 96", packed_words({12, 6, 5}, {8, 4, 3}), {8, -1, 3}),
      loading("tensor_4d", "4, 96", packed_words({8, 5, 4, 3}, {4, 3, 4, 2}), {4, 3, -1, 2}),
      loading("tensor_5d", "5, 96", packed_words({8, 4, 3, 4, 3}, {4, 2, 3, 2, 2}), {4, 3, -1, 2, 2}),
      loading("tensor_strided", "2, 48", every_other(), {4, 3}),
      swizzled_in(0, "0"),
      swizzled_in(32, "32"),
      swizzled_in(64, "64"),
      swizzled_in(128, "128"),
      swizzled_out(0, "0"),
      swizzled_out(32, "32"),
      swizzled_out(64, "64"),
      swizzled_out(128, "128"),
      {"tensor_sums",
       "tensor_sums",
       "",
       shape_of(2, 32),
       tensor_sums,
       {{"no proxy fence between the stores and the copy", {kProxy}},
        {"no __syncwarp between the stores and the copy", {kRace, kProxy, kUninitialised}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
