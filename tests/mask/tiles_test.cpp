#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "flashmask/mask_tiles.h"
#include "tests/mask/random_masks.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kBottomRight = CausalAlignment::kBottomRight;

TileClass class_by_elements(const Mask& mask, int b, int h, int first_row, int first_key, const TileShape& tile) {
  std::int64_t visible = 0;
  std::int64_t all = 0;
  const MaskExtents e = mask.extents();
  for (int i = first_row; i < std::min<std::int64_t>(e.seqlen_q, std::int64_t{first_row} + tile.tile_q); ++i) {
    for (int j = first_key; j < std::min<std::int64_t>(e.seqlen_k, std::int64_t{first_key} + tile.tile_k); ++j) {
      ++all;
      visible += mask.is_visible(b, h, i, j);
    }
  }
  if (visible == 0) return TileClass::kEmpty;
  return visible == all ? TileClass::kFull : TileClass::kPartial;
}

TileSummary summary_of(const std::vector<TileClass>& classes) {
  TileSummary summary;
  for (int n = static_cast<int>(classes.size()) - 1; n >= 0; --n) {
    if (classes[n] != TileClass::kEmpty) summary.first = n;
  }
  for (int n = 0; n < static_cast<int>(classes.size()); ++n) {
    if (classes[n] != TileClass::kEmpty) summary.last = n;
    summary.full += classes[n] == TileClass::kFull;
    summary.partial += classes[n] == TileClass::kPartial;
  }
  return summary;
}

std::vector<int> order_of(const std::vector<TileSummary>& summaries) {
  std::int64_t most = 0;
  for (const TileSummary& summary : summaries) most = std::max(most, tile_cost(summary));
  std::vector<int> order(summaries.size());
  std::iota(order.begin(), order.end(), 0);
  const auto bucket = [&](int tile) { return most == 0 ? 0 : 1023 - tile_cost(summaries[tile]) * 1023 / most; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bucket(a) < bucket(b); });
  return order;
}

/// Everything that a map says, recomputed from the elements.
void check(const Mask& mask, const TileShape& tile) {
  SCOPED_TRACE(describe(mask) + " in tiles of " + std::to_string(tile.tile_q) + " x " + std::to_string(tile.tile_k));
  const TileMap map = classify_tiles(mask, tile);
  const MaskExtents e = mask.extents();
  std::int64_t full = 0, partial = 0, empty = 0, pairs = 0;
  for (const std::uint8_t visible : seen(mask)) pairs += visible;
  for (int b = 0; b < e.batch; ++b) {
    for (int h = 0; h < e.num_heads; ++h) {
      std::vector<std::vector<TileClass>> by_key(map.key_tiles());
      std::vector<TileSummary> rows, keys;
      std::vector<std::int64_t> load;
      int row_tile = 0;
      for (std::int64_t i = 0; i < e.seqlen_q; i += tile.tile_q, ++row_tile) {
        std::vector<TileClass> row;
        int key_tile = 0;
        for (std::int64_t j = 0; j < e.seqlen_k; j += tile.tile_k, ++key_tile) {
          row.push_back(class_by_elements(mask, b, h, static_cast<int>(i), static_cast<int>(j), tile));
          ASSERT_EQ(map.at(b, h, row_tile, key_tile), row.back()) << "tile " << row_tile << ", " << key_tile;
          by_key[key_tile].push_back(row.back());
        }
        ASSERT_EQ(key_tile, map.key_tiles());
        rows.push_back(summary_of(row));
        load.push_back(4 * rows.back().full + 5 * rows.back().partial);
        full += rows.back().full;
        partial += rows.back().partial;
        empty += map.key_tiles() - rows.back().full - rows.back().partial;
        ASSERT_EQ(map.row_summary(b, h, row_tile), rows.back());
      }
      ASSERT_EQ(row_tile, map.row_tiles());
      for (int key_tile = 0; key_tile < map.key_tiles(); ++key_tile) {
        keys.push_back(summary_of(by_key[key_tile]));
        ASSERT_EQ(map.key_summary(b, h, key_tile), keys.back());
      }
      ASSERT_EQ(map.row_load(b, h), load);
      ASSERT_EQ(map.row_order(b, h), order_of(rows));
      ASSERT_EQ(map.key_order(b, h), order_of(keys));
    }
  }
  ASSERT_EQ(map.full_tiles(), full);
  ASSERT_EQ(map.partial_tiles(), partial);
  ASSERT_EQ(map.empty_tiles(), empty);
  ASSERT_EQ(map.visible_pairs(), pairs);
  ASSERT_DOUBLE_EQ(map.density(),
                   static_cast<double>(pairs) / (std::int64_t{e.batch} * e.num_heads * e.seqlen_q * e.seqlen_k));
}

TEST(Tiles, EveryClassSummaryAndOrderIsThatOfTheElements) {
  Random random(40);
  const std::vector<TileShape> tiles = {{1, 1}, {2, 3}, {4, 4}, {8, 2}, {3, 16}, {16, 8}, {64, 64}};
  for (int round = 0; round < 150; ++round) {
    for (const FormChoice& choice : form_choices()) {
      for (const TileShape& tile : tiles) {
        check(random_mask(random, choice, 24, 24), tile);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Tiles, IntervalsAtTheEdgesOfTilesAreClassifiedExactly) {
  Random random(41);
  const TileShape tile = {4, 3};
  for (int round = 0; round < 1500; ++round) {
    for (const FormChoice& choice : form_choices()) {
      if (vectors_per_column(choice.form) == 0) continue;
      // Values at multiples of the tile, now and then one off; columns of a tile mostly alike.
      const MaskExtents e = {1, 1, random.between(1, 26), random.between(1, 14)};
      const int vectors = vectors_per_column(choice.form);
      std::vector<std::int32_t> values;
      for (int j = 0; j < e.seqlen_k; ++j) {
        const bool fresh = j % tile.tile_k == 0;
        for (int v = 0; v < vectors; ++v) {
          const int edge = fresh ? tile.tile_q * random.between(0, 7) : values[values.size() - vectors];
          values.push_back(random.chance(6) ? edge + random.between(-1, 1) : edge);
        }
      }
      check(Mask({choice.form, choice.alignment, 1, 1, e.seqlen_q, e.seqlen_k, -1, -1}, values), tile);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Tiles, ClassesMayAlternateFromTileToTile) {
  // Key tiles take turns: rows of tiles 1 and 3 masked, rows of tiles 0 and 2, and half of each.
  const int tile = 8;
  std::vector<std::int32_t> values;
  for (int j = 0; j < 12 * tile; ++j) {
    switch (j / tile % 3) {
      case 0:
        values.insert(values.end(), {tile, 2 * tile, 3 * tile, 4 * tile});
        break;
      case 1:
        values.insert(values.end(), {2 * tile, 3 * tile, 0, tile});
        break;
      default:
        values.insert(values.end(), {tile / 2, 3 * tile / 2, 5 * tile / 2, 7 * tile / 2});
    }
  }
  const Mask mask({MaskForm::kF4, kBottomRight, 1, 1, 4 * tile, 12 * tile, -1, -1}, values);
  check(mask, {tile, tile});
  const TileMap map = classify_tiles(mask, {tile, tile});
  EXPECT_EQ(map.at(0, 0, 0, 0), TileClass::kFull);
  EXPECT_EQ(map.at(0, 0, 1, 0), TileClass::kEmpty);
  EXPECT_EQ(map.at(0, 0, 2, 1), TileClass::kEmpty);
  EXPECT_EQ(map.at(0, 0, 2, 2), TileClass::kPartial);
  EXPECT_EQ(map.empty_tiles(), 16);
  EXPECT_EQ(map.full_tiles(), 16);
}

TEST(Tiles, ATileThatOnlyTheUnionOfIntervalsMasksIsEmpty) {
  // Rows 0..3 by one interval, 4..7 by the other; and the diagonal with the rest.
  const Mask two({MaskForm::kF4, kBottomRight, 1, 1, 8, 4, -1, -1}, {4, 8, 0, 4, 0, 4, 4, 8, 2, 8, 0, 2, 0, 7, 7, 8});
  EXPECT_EQ(classify_tiles(two, {8, 4}).at(0, 0, 0, 0), TileClass::kEmpty);
  std::vector<std::int32_t> below;  // the diagonal itself and all below it
  for (int j = 0; j < 8; ++j) below.push_back(j);
  const Mask with_diagonal({MaskForm::kC1, kBottomRight, 1, 1, 8, 8, -1, -1}, below);
  EXPECT_EQ(classify_tiles(with_diagonal, {8, 8}).at(0, 0, 0, 0), TileClass::kEmpty);
}

TEST(Tiles, ACutTileWhoseElementsAreAllVisibleIsFull) {
  const Mask none({MaskForm::kNone, kBottomRight, 1, 1, 130, 70, -1, -1});
  const TileMap map = classify_tiles(none, {128, 64});
  EXPECT_EQ(map.row_tiles(), 2);
  EXPECT_EQ(map.key_tiles(), 2);
  EXPECT_EQ(map.full_tiles(), 4);
  EXPECT_EQ(map.visible_pairs(), 130 * 70);
  EXPECT_DOUBLE_EQ(map.density(), 1);
}

TEST(Tiles, OrdersPutLongWorkFirstAndKeepEqualWorkInOrder) {
  const Mask causal({MaskForm::kCausal, kBottomRight, 1, 1, 64, 64, -1, -1});
  const TileMap map = classify_tiles(causal, {16, 16});
  EXPECT_THAT(map.row_load(0, 0), ElementsAre(5, 9, 13, 17));
  EXPECT_THAT(map.row_order(0, 0), ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(map.key_order(0, 0), ElementsAre(0, 1, 2, 3));
  const Mask nothing({MaskForm::kF2, kBottomRight, 1, 1, 64, 4, -1, -1}, {0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_THAT(classify_tiles(nothing, {16, 16}).row_order(0, 0), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(classify_tiles(nothing, {16, 16}).row_summary(0, 0, 0), TileSummary{});
}

TEST(Tiles, CostsThatDifferByLessThanABucketKeepTheirOrder) {
  // Rows that see 998, 999 and all of 2000 keys.
  std::vector<std::int32_t> values;
  for (int j = 0; j < 2000; ++j) values.insert(values.end(), {3, j < 998 ? 0 : j < 999 ? 1 : 2});
  const TileMap map = classify_tiles(Mask({MaskForm::kF2, kBottomRight, 1, 1, 3, 2000, -1, -1}, values), {1, 1});
  EXPECT_THAT(map.row_load(0, 0), ElementsAre(3992, 3996, 8000));
  EXPECT_THAT(map.row_order(0, 0), ElementsAre(2, 0, 1)) << "3992 and 3996 times 1023 / 8000 are both 510";
}

TEST(Tiles, LargeTilesAndLengthsDoNotOverflow) {
  const int most = std::numeric_limits<int>::max();
  check(Mask({MaskForm::kCausal, kBottomRight, 1, 2, 5, 9, -1, -1}), {most, most});
  check(Mask({MaskForm::kWindow, kBottomRight, 1, 1, 40, 33, most, 3}), {7, most});
}

TEST(Tiles, LongSequencesTakeTimeByColumnsAndTiles) {
  const int n = 1 << 17;
  const Mask causal({MaskForm::kCausal, kBottomRight, 1, 1, n, n, -1, -1});
  const TileMap map = classify_tiles(causal, {128, 128});
  EXPECT_EQ(map.partial_tiles(), 1024);
  EXPECT_EQ(map.full_tiles(), 1024 * 1023 / 2);
  EXPECT_EQ(map.visible_pairs(), std::int64_t{n} * (n + 1) / 2);
}

TEST(Tiles, RefusesShapesAndIndicesWithTheNumbers) {
  const Mask mask({MaskForm::kCausal, kBottomRight, 2, 3, 64, 32, -1, -1});
  EXPECT_EQ(error_of([&] { (void)classify_tiles(mask, {0, 16}); }),
            "tiles of 0 rows and 16 keys: at least 1 of each is needed");
  EXPECT_THAT(error_of([&] { (void)classify_tiles(mask, {16, -1}); }), HasSubstr("tiles of 16 rows and -1 keys"));
  const Mask longest({MaskForm::kCausal, kBottomRight, 2, 3, 1 << 29, 1 << 29, -1, -1});
  EXPECT_THAT(error_of([&] { (void)classify_tiles(longest, {128, 64}); }),
              HasSubstr("into 6 x 4194304 x 8388608 tiles: at most 1073741824 are handled"));
  const TileMap map = classify_tiles(mask, {16, 16});
  EXPECT_EQ(error_of([&] { (void)map.at(2, 0, 0, 0); }), "batch = 2: there are 2, counted from 0");
  EXPECT_EQ(error_of([&] { (void)map.row_order(0, 3); }), "mask head = 3: there are 3, counted from 0");
  EXPECT_EQ(error_of([&] { (void)map.row_summary(0, 0, 4); }), "row tile = 4: there are 4, counted from 0");
  EXPECT_EQ(error_of([&] { (void)map.key_summary(0, 0, -1); }), "key tile = -1: there are 2, counted from 0");
}

}  // namespace
}  // namespace flashmask::mask_tests
