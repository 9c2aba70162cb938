#include "flashmask/tile_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/generator/all_targets.h"

namespace flashmask {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr TileConfig kConfig{128, 64, 4, 2, false};

TEST(TileConfig, OfEveryLegalDescriptorHasALegalDefaultThatFitsItsTarget) {
  int descriptors = 0;
  for (const Target& target : test::all_targets()) {
    for (MaskForm form : test::kAllForms) {
      for (int head_dim_qk = 8; head_dim_qk <= 256; head_dim_qk += 8) {
        for (int head_dim_v = 8; head_dim_v <= 256; head_dim_v += 8) {
          KernelDescriptor descriptor;
          descriptor.target = target;
          descriptor.mask_form = form;
          descriptor.head_dim_qk = head_dim_qk;
          descriptor.head_dim_v = head_dim_v;
          const TileConfig config = default_tile_config(descriptor);
          ASSERT_THAT(broken_rules(descriptor, config), IsEmpty()) << to_string(descriptor) << " " << to_string(config);
          ASSERT_GE(estimate_resources(descriptor, config).ctas_per_sm, 1) << to_string(descriptor);
          ++descriptors;
        }
      }
    }
  }
  EXPECT_EQ(descriptors, 17 * 7 * 32 * 32);  // 11 architectures, 6 of them with an "a" variant
}

struct BrokenCase {
  TileConfig config;
  const char* rule;
};

const BrokenCase kBrokenCases[] = {
    {{128, 64, 0, 2, false}, "warps = 0"},     {{144, 64, 9, 2, false}, "warps = 9"},
    {{0, 64, 4, 2, false}, "tile_q = 0"},      {{96, 64, 4, 2, false}, "tile_q = 96"},
    {{320, 64, 4, 2, false}, "tile_q = 320"},  {{-64, 64, 4, 2, false}, "tile_q = -64"},
    {{128, 0, 4, 2, false}, "tile_k = 0"},     {{128, 24, 4, 2, false}, "tile_k = 24"},
    {{128, -16, 4, 2, false}, "tile_k = -16"}, {{128, 64, 4, 1, false}, "stages = 1"},
    {{128, 64, 4, 0, false}, "stages = 0"},    {{128, 64, 4, 99, false}, "stages = 99"},
};

TEST(TileConfig, EachBrokenRuleNamesItsFieldAndValue) {
  for (const BrokenCase& broken : kBrokenCases) {
    EXPECT_THAT(broken_rules(KernelDescriptor{}, broken.config), testing::Contains(HasSubstr(broken.rule)))
        << broken.rule;
  }
}

TEST(TileConfig, AllBrokenRulesAreListedAtOnceWithThoseOfTheDescriptor) {
  KernelDescriptor descriptor;
  descriptor.head_dim_v = 300;
  EXPECT_THAT(broken_rules(descriptor, {100, 24, 4, 1, false}),
              ElementsAre(HasSubstr("head_dim_v = 300"), HasSubstr("tile_q = 100"), HasSubstr("tile_k = 24"),
                          HasSubstr("stages = 1")));
}

TEST(TileConfig, OfThreeWarpgroupsHasNoProductsThatTheirRegistersCannotHold) {
  KernelDescriptor descriptor;
  descriptor.target = {90, true};
  descriptor.head_dim_qk = 64;
  for (const auto& [tile_k, head_dim_v] : {std::pair(64, 192), {192, 64}}) {
    descriptor.head_dim_v = head_dim_v;
    EXPECT_THAT(broken_rules(descriptor, {.tile_q = 192, .tile_k = tile_k, .warps = 12, .stages = 2}), IsEmpty());
  }
  for (const auto& [tile_k, head_dim_v] : {std::pair(64, 200), {208, 64}}) {
    descriptor.head_dim_v = head_dim_v;
    EXPECT_THAT(broken_rules(descriptor, {.tile_q = 192, .tile_k = tile_k, .warps = 12, .stages = 2}),
                ElementsAre(HasSubstr("warps = 12: products of up to 192 columns fit the registers")));
    EXPECT_THAT(broken_rules(descriptor, {.tile_q = 128, .tile_k = tile_k, .warps = 8, .stages = 2}), IsEmpty());
  }
}

TEST(TileConfig, OfABackwardCutsKeysAmongWarpsAndMayShareThemBetweenTwo) {
  KernelDescriptor backward;
  backward.pass = Pass::kBackward;
  backward.head_dim_qk = backward.head_dim_v = 64;
  backward.target = {90, false};
  EXPECT_THAT(broken_rules(backward, {64, 128, 8, 2}), IsEmpty());
  EXPECT_THAT(broken_rules(backward, {16, 16, 1, 2}), IsEmpty());
  EXPECT_THAT(broken_rules(backward, {32, 64, 8, 2, false, 2}), IsEmpty());
  EXPECT_THAT(broken_rules(backward, {64, 96, 8, 2}), ElementsAre(HasSubstr("tile_k = 96: a multiple of 128")));
  EXPECT_THAT(broken_rules(backward, {48, 64, 8, 2, false, 2}),
              ElementsAre(HasSubstr("tile_q = 48: a multiple of 32")));
  EXPECT_THAT(broken_rules(backward, {144, 128, 8, 2}), ElementsAre(HasSubstr("tile_q = 144")));
  EXPECT_THAT(broken_rules(backward, {64, 48, 3, 2, false, 2}), ElementsAre(HasSubstr("column_warps = 2")));
  EXPECT_THAT(broken_rules(backward, {64, 128, 8, 2, true}), ElementsAre(HasSubstr("query_in_registers = true")));
  KernelDescriptor forward;
  EXPECT_THAT(broken_rules(forward, {128, 64, 4, 2, false, 2}), ElementsAre(HasSubstr("column_warps = 2")));
}

TEST(TileConfig, OfEveryBackwardHasADefaultOnEveryTarget) {
  for (const int head_dim : {8, 64, 72, 128, 136, 256}) {
    for (const char* target : {"sm_80", "sm_86", "sm_90", "sm_120"}) {
      KernelDescriptor backward;
      backward.pass = Pass::kBackward;
      backward.head_dim_qk = backward.head_dim_v = head_dim;
      backward.mask_form = MaskForm::kF4;
      backward.deterministic = true;
      backward.target = parse_target(target).value();
      EXPECT_THAT(broken_rules(backward, default_tile_config(backward)), IsEmpty()) << to_string(backward);
    }
  }
}

TEST(TileConfig, ThatNeedsMoreSharedMemoryThanTheTargetHasIsRefusedThereOnly) {
  KernelDescriptor descriptor;
  const TileConfig config{128, 128, 8, 4, false};  // 32 KiB of query and 4 x 32 KiB of ring
  descriptor.target = {90, false};
  EXPECT_THAT(broken_rules(descriptor, config), IsEmpty());
  descriptor.target = {86, false};
  const auto rules = broken_rules(descriptor, config);
  ASSERT_THAT(rules, SizeIs(1));
  EXPECT_THAT(rules[0], HasSubstr("164416 bytes of shared memory are needed, sm_86 allows 101376 per CTA"));
  EXPECT_EQ(estimate_resources(descriptor, config).ctas_per_sm, 0);
}

TEST(TileConfig, NeedsMoreOfASmTheLargerItIs) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = 64;  // far from the most registers of a thread
  const ResourceEstimate base = estimate_resources(descriptor, kConfig);
  for (const TileConfig& larger : {TileConfig{256, 64, 4, 2, false}, TileConfig{128, 128, 4, 2, false}}) {
    EXPECT_GT(estimate_resources(descriptor, larger).shared_bytes, base.shared_bytes) << to_string(larger);
    EXPECT_GT(estimate_resources(descriptor, larger).registers_per_thread, base.registers_per_thread);
  }
  EXPECT_GT(estimate_resources(descriptor, {128, 64, 4, 3, false}).shared_bytes, base.shared_bytes);
}

TEST(TileConfig, IsWrittenInOneShortLine) {
  EXPECT_EQ(to_string(kConfig), "128x64 w4 s2");
  EXPECT_NE(to_string(kConfig), to_string(TileConfig{128, 64, 4, 2, true}));
}

}  // namespace
}  // namespace flashmask
