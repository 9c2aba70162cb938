#include "emulator/machine/tensor_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "emulator/machine/core/tensor_box.h"
#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

/// 64 rows of 64 halves.
TensorMap square() {
  TensorMap map;
  map.element = TensorElement::kF16;
  map.rank = 2;
  map.address = 0x1'0000'0100;
  map.sizes = {64, 64};
  map.strides = {128};
  map.box = {16, 10};
  return map;
}

std::string rule_of(const TensorMap& map) {
  std::string rule;
  encode(map, rule);
  return rule;
}

// --- encoding --------------------------------------------------------------------------------------------------------

TEST(TensorMapBytes, KeepEveryField) {
  TensorMap map;
  map.element = TensorElement::kBf16;
  map.rank = 5;
  map.address = 0x7'1234'5670;
  map.sizes = {1, std::uint64_t{1} << 32, 3, 4, 5};
  map.strides = {16, (std::uint64_t{1} << 40) - 16, 0, 48};
  map.box = {32, 256, 1, 7, 8};
  map.element_strides = {1, 2, 8, 3, 4};
  map.swizzle = TensorSwizzle::k64;
  map.fills_with_nan = true;
  std::string rule;
  const TensorMapBytes bytes = encode(map, rule);
  EXPECT_EQ(rule, "");
  const std::optional<TensorMap> decoded = decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->element, map.element);
  EXPECT_EQ(decoded->rank, map.rank);
  EXPECT_EQ(decoded->address, map.address);
  EXPECT_EQ(decoded->sizes, map.sizes);
  EXPECT_EQ(decoded->strides, map.strides);
  EXPECT_EQ(decoded->box, map.box);
  EXPECT_EQ(decoded->element_strides, map.element_strides);
  EXPECT_EQ(decoded->swizzle, map.swizzle);
  EXPECT_EQ(decoded->fills_with_nan, map.fills_with_nan);
}

TEST(TensorMapBytes, ThatEncodeDidNotMakeAreNoMap) {
  EXPECT_FALSE(decode(TensorMapBytes{}));
  std::string rule;
  const TensorMapBytes good = encode(square(), rule);
  for (std::size_t i = 0; i < good.size(); ++i) {
    TensorMapBytes changed = good;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(decode(changed)) << "byte " << i;
  }
}

TEST(TensorMapBytes, OfABrokenRuleAreNoMap) {
  TensorMap map = square();
  map.box[0] = 12;
  std::string rule;
  EXPECT_FALSE(decode(encode(map, rule)));
  EXPECT_NE(rule, "");
}

struct BrokenRule {
  void (*breaks)(TensorMap&);
  const char* text;
};

TEST(TensorMapRules, AreNamedWithWhatWasGivenAndWhatIsAllowed) {
  const BrokenRule rules[] = {
      {[](TensorMap& map) { map.rank = 0; }, "rank = 0: 1 to 5 is allowed"},
      {[](TensorMap& map) { map.rank = 6; }, "rank = 6: 1 to 5 is allowed"},
      {[](TensorMap& map) { map.address += 8; }, "address = 0x100000108: a multiple of 16 is needed"},
      {[](TensorMap& map) { map.sizes[1] = 0; }, "sizes[1] = 0: 1 to 2^32 elements are allowed"},
      {[](TensorMap& map) { map.sizes[0] = (std::uint64_t{1} << 32) + 1; },
       "sizes[0] = 4294967297: 1 to 2^32 elements are allowed"},
      {[](TensorMap& map) { map.strides[0] = 136; },
       "strides[0] = 136 bytes (of dimension 1): a multiple of 16 below 2^40 is needed"},
      {[](TensorMap& map) { map.strides[0] = std::uint64_t{1} << 40; },
       "strides[0] = 1099511627776 bytes (of dimension 1): a multiple of 16 below 2^40 is needed"},
      {[](TensorMap& map) { map.box[1] = 0; }, "box[1] = 0: 1 to 256 elements are allowed"},
      {[](TensorMap& map) { map.box[1] = 257; }, "box[1] = 257: 1 to 256 elements are allowed"},
      {[](TensorMap& map) { map.box[0] = 12; }, "box[0] = 12 elements are 24 bytes: a multiple of 16 bytes is needed"},
      {[](TensorMap& map) {
         map.box[0] = 40;
         map.swizzle = TensorSwizzle::k64;
       },
       "box[0] = 40 elements are 80 bytes: at most 64 bytes are allowed with a swizzle of 64"},
      {[](TensorMap& map) { map.element_strides[0] = 0; }, "element_strides[0] = 0: 1 to 8 is allowed"},
      {[](TensorMap& map) { map.element_strides[1] = 9; }, "element_strides[1] = 9: 1 to 8 is allowed"},
      {[](TensorMap& map) {
         map.element = TensorElement::kU16;
         map.fills_with_nan = true;
       },
       "fills_with_nan: floating-point elements are needed, integers are filled with zero"},
      {[](TensorMap& map) {
         map.element = TensorElement::kTf32;
         map.sizes[0] = 32;
       },
       "element = tf32: copies would round it, and this machine moves bytes as they are; use f32"},
  };
  for (const BrokenRule& each : rules) {
    TensorMap map = square();
    each.breaks(map);
    EXPECT_EQ(rule_of(map), each.text);
  }
}

TEST(TensorMapRules, LookAtTheDimensionsThatTheRankNames) {
  TensorMap map = square();
  map.sizes[2] = 0;
  map.strides[1] = 7;
  map.box[2] = 1000;
  map.element_strides[2] = 0;
  EXPECT_EQ(rule_of(map), "");
}

TEST(TensorMapRules, HoldForEveryElement) {
  const std::uint32_t sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4};
  for (std::uint32_t i = 0; i < std::size(sizes); ++i) {
    TensorMap map = square();
    map.element = static_cast<TensorElement>(i);
    ASSERT_EQ(size_of(map.element), sizes[i]);
    map.box[0] = 16 / sizes[i];
    EXPECT_EQ(rule_of(map), "");
    map.fills_with_nan = true;
    EXPECT_EQ(rule_of(map).empty(), i >= static_cast<std::uint32_t>(TensorElement::kF16)) << i;
  }
}

// --- boxes -----------------------------------------------------------------------------------------------------------

/// Where each byte of the box comes from: shared address → global address, or nothing outside the tensor.
using Bytes = std::map<std::uint32_t, std::optional<std::uint64_t>>;

/// One element after the other, each by itself.
Bytes bytes_by_element(const TensorMap& map, const std::vector<std::int32_t>& coordinates, std::uint32_t shared) {
  Bytes bytes;
  const std::uint32_t size = size_of(map.element);
  const std::uint32_t span = span_of(map.swizzle);
  std::uint32_t extent[5] = {1, 1, 1, 1, 1};
  std::uint32_t step[5] = {1, 1, 1, 1, 1};
  for (std::uint32_t i = 0; i < map.rank; ++i) {
    if (i != 0) step[i] = map.element_strides[i];
    while (extent[i] * step[i] < map.box[i]) ++extent[i];
  }
  std::uint32_t at[5];
  std::uint32_t row = 0;
  for (at[4] = 0; at[4] < extent[4]; ++at[4]) {
    for (at[3] = 0; at[3] < extent[3]; ++at[3]) {
      for (at[2] = 0; at[2] < extent[2]; ++at[2]) {
        for (at[1] = 0; at[1] < extent[1]; ++at[1], ++row) {
          for (at[0] = 0; at[0] < extent[0]; ++at[0]) {
            bool inside = true;
            std::int64_t global = static_cast<std::int64_t>(map.address);
            for (std::uint32_t i = 0; i < map.rank; ++i) {
              const std::int64_t index = coordinates[i] + std::int64_t{at[i] * step[i]};
              inside = inside && index >= 0 && index < static_cast<std::int64_t>(map.sizes[i]);
              global += index * static_cast<std::int64_t>(i == 0 ? size : map.strides[i - 1]);
            }
            for (std::uint32_t byte = 0; byte < size; ++byte) {
              std::uint32_t address = shared + row * (span != 0 ? span : map.box[0] * size) + at[0] * size + byte;
              if (span != 0) {
                const std::uint32_t line = address / 128;
                const std::uint32_t chunk = address % span / 16 ^ line % (span / 16);
                address = address / span * span + 16 * chunk + address % 16;
              }
              const bool fresh = bytes
                                     .emplace(address, inside ? std::optional(static_cast<std::uint64_t>(global) + byte)
                                                              : std::nullopt)
                                     .second;
              EXPECT_TRUE(fresh);
            }
          }
        }
      }
    }
  }
  return bytes;
}

Bytes bytes_by_run(const TensorMap& map, const std::vector<BoxRun>& runs) {
  Bytes bytes;
  for (const BoxRun& run : runs) {
    EXPECT_EQ(run.bytes % size_of(map.element), 0u);
    EXPECT_GT(run.bytes, 0u);
    EXPECT_TRUE(map.swizzle == TensorSwizzle::kNone || run.shared / 16 == (run.shared + run.bytes - 1) / 16);
    for (std::uint32_t i = 0; i < run.bytes; ++i) {
      const bool fresh =
          bytes.emplace(run.shared + i, run.inside ? std::optional(run.global + i) : std::nullopt).second;
      EXPECT_TRUE(fresh) << "two runs meet at " << run.shared + i;
    }
  }
  return bytes;
}

void expect_box(const TensorMap& map, const std::vector<std::int32_t>& coordinates, std::uint32_t shared) {
  ASSERT_EQ(rule_of(map), "");
  const TensorBox box(map, coordinates, shared);
  ASSERT_EQ(box.broken_rule(), "");
  const Bytes expected = bytes_by_element(map, coordinates, shared);
  EXPECT_EQ(box.bytes(), expected.size());
  EXPECT_EQ(bytes_by_run(map, box.runs()), expected);
}

class TensorBoxes : public testing::TestWithParam<std::uint32_t> {};

TEST_P(TensorBoxes, MoveEveryElementAsIfByItself) {
  const std::uint32_t rank = GetParam();
  std::mt19937 random(rank);
  const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
  constexpr TensorElement kElements[] = {TensorElement::kU8, TensorElement::kF16, TensorElement::kF32,
                                         TensorElement::kF64};
  for (std::uint32_t turn = 0; turn < 160; ++turn) {
    TensorMap map;
    map.rank = rank;
    map.element = kElements[below(4)];
    map.swizzle = static_cast<TensorSwizzle>(turn % 4);
    map.address = 0x1'0000'0000 + 16 * below(64);
    const std::uint32_t per_chunk = 16 / size_of(map.element);
    const std::uint32_t chunks = map.swizzle == TensorSwizzle::kNone ? 12 : span_of(map.swizzle) / 16;
    std::vector<std::int32_t> coordinates;
    for (std::uint32_t i = 0; i < rank; ++i) {
      // Rows whose ends are not a whole chunk, and starts on both sides of the tensor.
      map.sizes[i] = 1 + below(i == 0 ? 10 * per_chunk : 9);
      map.box[i] = i == 0 ? per_chunk * (1 + below(std::min(chunks, 256 / per_chunk))) : 1 + below(rank > 3 ? 4 : 11);
      map.element_strides[i] = 1 + below(below(2) == 0 ? 1 : 8);
      if (i + 1 < rank) map.strides[i] = 16 * below(1000);
      const std::int32_t start = static_cast<std::int32_t>(below(24)) - 12;
      coordinates.push_back(i == 0 ? start * static_cast<std::int32_t>(per_chunk) : start);
    }
    expect_box(map, coordinates, 128 * below(20));
    if (testing::Test::HasFailure()) FAIL() << "turn " << turn;
  }
}

INSTANTIATE_TEST_SUITE_P(Rank, TensorBoxes, testing::Range(1u, 6u));

TEST(TensorBox, FarOutsideIsOutside) {
  TensorMap map = square();
  for (const std::int32_t far : {std::numeric_limits<std::int32_t>::min(), 0x7fff'fff0}) {
    expect_box(map, {far, 0}, 0);
    expect_box(map, {0, far}, 0);
  }
  map.sizes = {std::uint64_t{1} << 32, std::uint64_t{1} << 32};
  map.strides[0] = std::uint64_t{1} << 34;
  expect_box(map, {0x7fff'fff0, 0x0fff'ffff}, 0);
}

/// The chunk of shared memory at which the given chunk of a row lies, as an H100 put it.
struct Observed {
  std::uint32_t row;
  std::uint32_t chunk;
  std::uint32_t shared;
};

void expect_observed(const TensorMap& map, std::uint32_t shared, const std::vector<Observed>& all) {
  const std::vector<std::int32_t> origin(map.rank, 0);
  const std::vector<BoxRun> runs = TensorBox(map, origin, shared).runs();
  for (const Observed& each : all) {
    const std::uint64_t global = map.address + each.row * map.strides[0] + std::uint64_t{16} * each.chunk;
    const auto found = std::find_if(runs.begin(), runs.end(), [&](const BoxRun& run) { return run.global == global; });
    ASSERT_NE(found, runs.end());
    EXPECT_EQ(found->shared, each.shared) << "row " << each.row << ", chunk " << each.chunk;
  }
}

TEST(TensorBox, OfARowShorterThanTheSpanTakesTheWholeSpan) {
  TensorMap map = square();
  map.swizzle = TensorSwizzle::k128;
  EXPECT_EQ(TensorBox(map, std::vector<std::int32_t>{0, 0}, 0).bytes(), 320u);
  expect_observed(map, 0, {{0, 0, 0}, {1, 0, 0x90}, {1, 1, 0x80}, {2, 0, 0x120}, {7, 1, 0x3e0}, {9, 0, 0x490}});
  map.box[0] = 24;
  map.swizzle = TensorSwizzle::k64;
  EXPECT_EQ(TensorBox(map, std::vector<std::int32_t>{0, 0}, 0).bytes(), 480u);
  expect_observed(map, 0, {{1, 2, 0x60}, {2, 0, 0x90}, {2, 2, 0xb0}, {4, 2, 0x100}, {7, 0, 0x1f0}, {9, 2, 0x260}});
}

TEST(TensorBox, SwizzlesByAddressesAndNotByItsOwnRows) {
  TensorMap map = square();
  map.box = {64, 9};
  map.swizzle = TensorSwizzle::k128;
  expect_observed(map, 128, {{0, 0, 0x90}, {1, 0, 0x120}, {7, 0, 0x400}, {7, 7, 0x470}, {8, 0, 0x490}});
  map.box[0] = 16;
  map.swizzle = TensorSwizzle::k32;
  expect_observed(map, 128, {{0, 0, 0x90}, {3, 0, 0xf0}, {4, 0, 0x100}, {8, 1, 0x180}});
}

TEST(TensorBox, HasOneElementPerStrideAndStartsCountInElementsOfTheTensor) {
  TensorMap map = square();
  map.box = {64, 9};
  map.element_strides = {7, 2};
  const TensorBox box(map, std::vector<std::int32_t>{0, -1}, 0);
  EXPECT_EQ(box.bytes(), 640u);
  const std::vector<BoxRun> runs = box.runs();
  ASSERT_EQ(runs.size(), 5u);
  EXPECT_FALSE(runs[0].inside);
  for (std::uint32_t i = 1; i < 5; ++i) EXPECT_EQ(runs[i].global, map.address + (2 * i - 1) * 128);
}

TEST(TensorBox, SaysWhyADeviceWouldNotCopyIt) {
  const TensorMap map = square();
  const auto rule = [&](const std::vector<std::int32_t>& coordinates, std::uint32_t shared) {
    return TensorBox(map, coordinates, shared).broken_rule();
  };
  EXPECT_EQ(rule({0, 0}, 64), "the box is at shared+0x40: a multiple of 128 is needed");
  EXPECT_EQ(rule({-3, 0}, 128),
            "the box starts at element -3 of dimension 0, -6 bytes from the start of a row: a multiple of 16 bytes is "
            "needed");
  EXPECT_EQ(rule({0, 0, 0}, 128), "3 coordinates are given for a tensor of 2 dimensions");
  EXPECT_EQ(rule({-8, -3}, 128), "");
}

TEST(TensorBox, LargerThanSharedMemoryIsRefusedHoweverLarge) {
  TensorMap map = square();
  map.rank = 5;
  map.sizes = {64, 256, 256, 256, 256};
  map.strides = {128, 128, 128, 128};
  map.box = {64, 256, 256, 256, 256};  // 2^32 rows
  EXPECT_EQ(TensorBox(map, std::vector<std::int32_t>(5, 0), 0).broken_rule(),
            "the box takes 549755813888 bytes of shared memory: no CTA has more than 232448");
}

TEST(TensorBox, IsFilledOutsideWithZeroOrWithTheNanOfTheDevice) {
  TensorMap map = square();
  std::vector<std::uint16_t> halves(8, 1);
  fill_outside(map, std::as_writable_bytes(std::span(halves)));
  EXPECT_EQ(halves, std::vector<std::uint16_t>(8, 0));
  map.fills_with_nan = true;
  fill_outside(map, std::as_writable_bytes(std::span(halves)));
  EXPECT_EQ(halves, std::vector<std::uint16_t>(8, 0x7ff7));
}

}  // namespace
}  // namespace flashmask::emulator::test
