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
