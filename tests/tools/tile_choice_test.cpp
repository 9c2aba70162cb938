#include "tools/command/tile_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

KernelDescriptor descriptor(int head_dim) {
  KernelDescriptor result;
  result.head_dim_qk = result.head_dim_v = head_dim;
  return result;
}

TEST(TileChoice, WithoutATileTheDefaultIsLeftToTheLibrary) {
  EXPECT_FALSE(choose_tile(descriptor(128), std::nullopt).has_value());
}

TEST(TileChoice, ATileIsKeptAndTheRestMadeLegal) {
  for (int head_dim : {32, 64, 128, 256}) {
    for (const TileShape tile : {TileShape{16, 16}, TileShape{32, 32}, TileShape{64, 32}, TileShape{64, 64}}) {
      const auto config = choose_tile(descriptor(head_dim), tile);
      ASSERT_TRUE(config.has_value());
      EXPECT_EQ(config->tile_q, tile.query);
      EXPECT_EQ(config->tile_k, tile.key);
      EXPECT_THAT(broken_rules(descriptor(head_dim), *config), ::testing::IsEmpty());
    }
  }
}

TEST(TileChoice, ATileOfABackwardIsKeptAndTheRestMadeLegal) {
  for (int head_dim : {32, 64, 128}) {
    KernelDescriptor backward = descriptor(head_dim);
    backward.pass = Pass::kBackward;
    for (const TileShape tile : {TileShape{16, 16}, TileShape{32, 32}, TileShape{64, 32}, TileShape{16, 64}}) {
      const auto config = choose_tile(backward, tile);
      ASSERT_TRUE(config.has_value());
      EXPECT_EQ(config->tile_q, tile.query);
      EXPECT_EQ(config->tile_k, tile.key);
      EXPECT_THAT(broken_rules(backward, *config), ::testing::IsEmpty());
    }
    const TileConfig defaults = default_tile_config(backward);
    EXPECT_EQ(choose_tile(backward, TileShape{defaults.tile_q, defaults.tile_k}), defaults);
  }
}

KernelDescriptor hopper(int head_dim) {
  KernelDescriptor result = descriptor(head_dim);
  result.target = {90, true};
  return result;
}

TEST(TileChoice, ATileOfAForwardForSm90aKeepsTheScheduleAndHasAWarpForEvery16Rows) {
  for (int head_dim : {32, 64, 128}) {
    const TileConfig defaults = default_tile_config(hopper(head_dim));
    for (const TileShape tile : {TileShape{64, 16}, TileShape{64, 128}, TileShape{128, 64}, TileShape{192, 32}}) {
      const auto config = choose_tile(hopper(head_dim), tile);
      ASSERT_TRUE(config.has_value());
      EXPECT_EQ(config->tile_q, tile.query);
      EXPECT_EQ(config->tile_k, tile.key);
      EXPECT_EQ(config->warps, tile.query / 16);
      EXPECT_EQ(config->overlap, defaults.overlap);
      EXPECT_EQ(config->turns, defaults.turns);
      EXPECT_EQ(config->stages, defaults.stages);
      EXPECT_THAT(broken_rules(hopper(head_dim), *config), ::testing::IsEmpty());
    }
    EXPECT_EQ(choose_tile(hopper(head_dim), TileShape{defaults.tile_q, defaults.tile_k}), defaults);
  }
}

TEST(TileChoice, ATileOfAForwardForSm90aGivesUpASlotOfQueriesBeforeItIsRefused) {
  const TileConfig defaults = default_tile_config(hopper(128));
  ASSERT_EQ(defaults.query_slots, 2);
  const auto config = choose_tile(hopper(128), TileShape{128, 176});
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(*config, (TileConfig{128, 176, 8, 2, false, 1, defaults.overlap, defaults.turns, 1}));
  for (const TileShape tile : {TileShape{96, 64}, TileShape{256, 64}, TileShape{128, 24}, TileShape{192, 256}})
    EXPECT_THROW(choose_tile(hopper(128), tile), Error) << tile.query << "," << tile.key;
}

TEST(TileChoice, AConfigurationIsTakenAsItIs) {
  const TileConfig config{128, 96, 8, 3, false, 1, false, true, 1};
  EXPECT_EQ(choose_tile(hopper(64), config), config);
  EXPECT_EQ(choose_tile(descriptor(64), TileConfig{64, 48, 2, 4, true}), (TileConfig{64, 48, 2, 4, true}));
}

TEST(TileChoice, AConfigurationThatCannotBeHadIsRefusedWithEveryRuleAndTheDefault) {
  try {
    choose_tile(descriptor(128), TileConfig{128, 64, 4, 9, false, 1, true, true, 2});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--config 128x64,w4,s9,overlap,turns,q2: "), HasSubstr("stages = 9"),
                                    HasSubstr("overlap = true"), HasSubstr("turns = true")));
    EXPECT_THAT(error.what(), HasSubstr("query_slots = 2"));
    EXPECT_THAT(error.hint(), HasSubstr("the default is 128x64,w4,s2"));
  }
}

TEST(TileChoice, TheDefaultsOwnTileGivesTheDefault) {
  const TileConfig defaults = default_tile_config(descriptor(64));
  EXPECT_EQ(choose_tile(descriptor(64), TileShape{defaults.tile_q, defaults.tile_k}), defaults);
}

TEST(TileChoice, ATileThatCannotBeHadIsRefusedWithItsRules) {
  for (const TileShape tile : {TileShape{17, 64}, TileShape{64, 17}, TileShape{1 << 20, 1 << 20}}) {
    try {
      choose_tile(descriptor(128), tile);
      ADD_FAILURE() << tile.query << "," << tile.key;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("--tile"), HasSubstr("tile_")));
    }
  }
}

TEST(TileChoice, ADescriptorWithoutAKernelIsUnsupportedWithEveryRule) {
  KernelDescriptor wrong = descriptor(100);
  wrong.head_dim_v = 264;
  try {
    require_supported(wrong);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 264")));
  }
}

}  // namespace
}  // namespace flashmask::command
