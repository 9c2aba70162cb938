// The plan that the device makes, against the host's tile map, which tests/mask proves against the dense mask.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "flashmask/mask.h"
#include "flashmask/mask_tiles.h"
#include "flashmask/runtime.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

using testing::HasSubstr;

constexpr MaskForm kVectorForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};

DeviceBuffer upload(const std::shared_ptr<Device>& device, std::span<const std::int32_t> values) {
  DeviceBuffer buffer(device, values.size_bytes());
  device->copy_to_device(buffer.get(), std::as_bytes(values), nullptr);
  return buffer;
}

/// Empty if the device's plan of the mask is the host's; else the first difference.
std::string difference(Runtime& runtime, const Mask& mask, TileShape tile) {
  const DeviceBuffer indices = upload(runtime.device(), mask.startend_row_indices());
  MaskPlan plan(runtime, mask.shape(), indices.get());
  const PlanView view = plan.prepare(tile);
  const PlanContent content = MaskPlan::read(*runtime.device(), view);
  const TileMap map = classify_tiles(mask, tile);
  if (content.row_tiles != map.row_tiles() || content.key_tiles != map.key_tiles()) return "the numbers of tiles";
  std::size_t tile_index = 0, row_index = 0, key_index = 0;
  for (int b = 0; b < mask.shape().batch; ++b)
    for (int h = 0; h < mask.shape().num_heads; ++h) {
      const std::vector<int> row_order = map.row_order(b, h), key_order = map.key_order(b, h);
      for (int r = 0; r < map.row_tiles(); ++r) {
        for (int k = 0; k < map.key_tiles(); ++k, ++tile_index) {
          const TileClass wanted = map.at(b, h, r, k);
          if (content.row_classes[tile_index] != wanted || content.key_classes[tile_index] != wanted)
            return fmt::format("batch {} head {} tile ({}, {}): {} by rows, {} by keys, {} on the host", b, h, r, k,
                               static_cast<int>(content.row_classes[tile_index]),
                               static_cast<int>(content.key_classes[tile_index]), static_cast<int>(wanted));
        }
        if (!(content.row_summaries[row_index] == map.row_summary(b, h, r)))
          return fmt::format("batch {} head {}: the summary of row tile {}", b, h, r);
        if (content.row_order[row_index] != row_order[static_cast<std::size_t>(r)])
          return fmt::format("batch {} head {}: the order of rows at {}", b, h, r);
        ++row_index;
      }
      for (int k = 0; k < map.key_tiles(); ++k) {
        if (!(content.key_summaries[key_index] == map.key_summary(b, h, k)))
          return fmt::format("batch {} head {}: the summary of key tile {}", b, h, k);
        if (content.key_order[key_index] != key_order[static_cast<std::size_t>(k)])
          return fmt::format("batch {} head {}: the order of keys at {}", b, h, k);
        ++key_index;
      }
    }
  const PlanCounts counts = count_tiles(*runtime.device(), view);
  if (counts.full != static_cast<std::uint64_t>(map.full_tiles()) ||
      counts.partial != static_cast<std::uint64_t>(map.partial_tiles()) ||
      counts.empty != static_cast<std::uint64_t>(map.empty_tiles()))
    return "the counts";
  return "";
}

/// A bound of an interval: near the rows, on a tile's edge, outside, at the ends of int.
std::int32_t random_bound(std::mt19937_64& random, int seqlen_q) {
  switch (random() % 8) {
    case 0:
      return static_cast<std::int32_t>(random() % 5) * 16;
    case 1:
      return static_cast<std::int32_t>(random() % 9) - 4;
    case 2:
      return seqlen_q + static_cast<std::int32_t>(random() % 9) - 4;
    case 3:
      return random() % 2 ? std::numeric_limits<std::int32_t>::max() : std::numeric_limits<std::int32_t>::min();
    default:
      return static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(seqlen_q + 1));
  }
}

Mask random_mask(std::mt19937_64& random, MaskForm form) {
  MaskShape shape;
  shape.form = form;
  if (has_diagonal(form) && random() % 3 == 0) shape.causal_alignment = CausalAlignment::kTopLeft;
  shape.batch = 1 + static_cast<int>(random() % 2);
  shape.num_heads = 1 + static_cast<int>(random() % 2);
  shape.seqlen_q = 1 + static_cast<int>(random() % 300);
  shape.seqlen_k = 1 + static_cast<int>(random() % 300);
  const auto columns = static_cast<std::size_t>(shape.batch * shape.num_heads * shape.seqlen_k);
  const auto vectors = static_cast<std::size_t>(vectors_per_column(form));
  std::vector<std::int32_t> values(columns * vectors);
  // Runs of equal columns make full and empty tiles; a run of its own column each makes partial ones.
  for (std::size_t column = 0; column < columns;) {
    std::vector<std::int32_t> bounds(vectors);
    for (std::int32_t& bound : bounds) bound = random_bound(random, shape.seqlen_q);
    const std::size_t run = random() % 3 == 0 ? 1 : 1 + random() % 80;
    for (std::size_t i = 0; i < run && column < columns; ++i, ++column)
      std::copy(bounds.begin(), bounds.end(), values.begin() + static_cast<std::ptrdiff_t>(column * vectors));
  }
  return Mask(shape, std::move(values));
}

TEST(MaskPlan, OfThousandsOfRandomMasksIsTheHostsTileByTile) {
  Runtime& runtime = tested_runtime();
  std::mt19937_64 random(20260101);
  constexpr TileShape kTiles[] = {{16, 16}, {64, 64}, {128, 64}, {48, 80}, {128, 128}};
  for (int n = 0; n < 2400; ++n) {
    const MaskForm form = kVectorForms[n % 4];
    const Mask mask = random_mask(random, form);
    const TileShape tile = kTiles[random() % std::size(kTiles)];
    ASSERT_EQ(difference(runtime, mask, tile), "")
        << "mask " << n << ", form " << to_string(form) << ", " << mask.shape().seqlen_q << " x "
        << mask.shape().seqlen_k << " in " << tile.tile_q << " x " << tile.tile_k;
  }
}

TEST(MaskPlan, FollowsClassesThatAlternateTileByTile) {
  Runtime& runtime = tested_runtime();
  constexpr int kTile = 32, kCount = 9;
  for (int phase = 0; phase < 3; ++phase) {
    // Key tile k: hidden from the row tile (k + phase) % kCount wholly, and from a part of the one after it.
    std::vector<std::int32_t> values;
    for (int j = 0; j < kCount * kTile; ++j) {
      const int row = (j / kTile + phase) % kCount * kTile, next = (j / kTile + phase + 1) % kCount * kTile;
      for (const int bound : {row, row + kTile, next + j % 3, next + 5 + j % 7}) values.push_back(bound);
    }
    const MaskShape shape{.form = MaskForm::kF4, .seqlen_q = kCount * kTile, .seqlen_k = kCount * kTile};
    EXPECT_EQ(difference(runtime, Mask(shape, values), {kTile, kTile}), "");
    EXPECT_EQ(difference(runtime, Mask(shape, values), {kTile, 16}), "");
    EXPECT_EQ(difference(runtime, Mask(shape, values), {48, kTile}), "");
  }
}

TEST(MaskPlan, FindsTheTilesThatOnlyTheUnionOfTwoIntervalsCovers) {
  // Rows 0-63 of every column are hidden by [0, 20) and [20, 64): neither alone covers the tile.
  std::vector<std::int32_t> values;
  for (int j = 0; j < 64; ++j)
    for (const int bound : {20, 64, 0, 20}) values.push_back(bound);
  const Mask mask({.form = MaskForm::kF4, .seqlen_q = 128, .seqlen_k = 64}, values);
  Runtime& runtime = tested_runtime();
  EXPECT_EQ(difference(runtime, mask, {64, 64}), "");
  const DeviceBuffer indices = upload(runtime.device(), mask.startend_row_indices());
  MaskPlan plan(runtime, mask.shape(), indices.get());
  EXPECT_EQ(plan.analyse({64, 64}).empty, 1u);
}

TEST(MaskPlan, OfManyRowTilesIsCountedInChunks) {
  // More row tiles than one chunk of the kernel counts, few keys.
  Runtime& runtime = tested_runtime();
  std::mt19937_64 random(5);
  const MaskShape shape{.form = MaskForm::kF4, .seqlen_q = 16 * 4200 + 3, .seqlen_k = 40};
  std::vector<std::int32_t> values;
  for (int i = 0; i < 40 * 4; ++i)
    values.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(shape.seqlen_q)));
  EXPECT_EQ(difference(runtime, Mask(shape, values), {16, 16}), "");
}

TEST(MaskPlan, IsTheSameWhenItIsBuiltAgainInTheSameMemory) {
  Runtime& runtime = tested_runtime();
  std::mt19937_64 random(6);
  const Mask mask = random_mask(random, MaskForm::kF2);
  const DeviceBuffer indices = upload(runtime.device(), mask.startend_row_indices());
  MaskPlan plan(runtime, mask.shape(), indices.get());
  const PlanView first = plan.prepare({64, 64});
  const PlanContent before = MaskPlan::read(*runtime.device(), first);
  plan.build({64, 64}, first.data, first.bytes);
  const PlanContent after = MaskPlan::read(*runtime.device(), first);
  EXPECT_EQ(before.row_classes, after.row_classes);
  EXPECT_EQ(before.row_order, after.row_order);
  EXPECT_EQ(before.key_order, after.key_order);
}

TEST(MaskPlan, IsMadeOncePerTileShape) {
  Runtime& runtime = tested_runtime();
  std::mt19937_64 random(7);
  const Mask mask = random_mask(random, MaskForm::kC1);
  const DeviceBuffer indices = upload(runtime.device(), mask.startend_row_indices());
  MaskPlan plan(runtime, mask.shape(), indices.get());
  EXPECT_EQ(plan.prepare({64, 64}).data, plan.prepare({64, 64}).data);
  EXPECT_NE(plan.prepare({64, 64}).data, plan.prepare({64, 128}).data);
}

/// What a call refuses; "" if it does not.
template <typename Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MaskPlan, RefusesClosedFormsBadTilesAndSmallBuffersWithTheNumbers) {
  Runtime& runtime = tested_runtime();
  const MaskShape causal{.form = MaskForm::kCausal, .seqlen_q = 10, .seqlen_k = 10};
  EXPECT_THAT(refusal([&] { MaskPlan::size(causal, {64, 64}); }), HasSubstr("closed forms need no plan"));
  const MaskShape shape{.form = MaskForm::kC1, .seqlen_q = 100, .seqlen_k = 10};
  EXPECT_THAT(refusal([&] { MaskPlan::size(shape, {60, 512}); }),
              testing::AllOf(HasSubstr("tile_q = 60"), HasSubstr("tile_k = 512")));
  EXPECT_THAT(refusal([&] {
                MaskPlan::size({.form = MaskForm::kC1, .batch = 300, .num_heads = 300, .seqlen_q = 1, .seqlen_k = 1},
                               {64, 64});
              }),
              HasSubstr("batch = 300 and num_heads = 300"));
  EXPECT_THAT(refusal([&] { MaskPlan(runtime, shape, 0); }), HasSubstr("startend_row_indices is at 0x0"));

  const std::vector<std::int32_t> values(10, 100);
  const DeviceBuffer indices = upload(runtime.device(), values);
  const MaskPlan plan(runtime, shape, indices.get());
  const std::size_t needed = MaskPlan::size(shape, {64, 64});
  const DeviceBuffer buffer(runtime.device(), needed);
  EXPECT_THAT(refusal([&] { plan.build({64, 64}, buffer.get(), needed - 1); }),
              testing::AllOf(HasSubstr(fmt::format("{} bytes", needed - 1)), HasSubstr(std::to_string(needed))));
  EXPECT_THAT(refusal([&] { plan.build({64, 64}, buffer.get() + 8, needed); }), HasSubstr("multiple of 16"));
}

TEST(MaskPlan, TakesHalfAMebibyteForTheTilesOf128ThousandTokens) {
  const MaskShape shape{.form = MaskForm::kF4, .seqlen_q = 131072, .seqlen_k = 131072};
  const std::size_t bytes = MaskPlan::size(shape, {128, 128});
  EXPECT_GE(bytes, std::size_t{512} << 10);
  EXPECT_LE(bytes, (std::size_t{512} << 10) + 4 * 1024 * 16 + 16);
}

}  // namespace
}  // namespace flashmask::forward_tests
