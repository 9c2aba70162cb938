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

KernelDescriptor hopper_forward(int head_dim) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.target = {90, true};
  return descriptor;
}

/// "128x128 w8 s2", for forwards with wgmma.
constexpr TileConfig kWgmmaConfig{.tile_q = 128, .tile_k = 128, .warps = 8, .stages = 2};

template <typename Change>
TileConfig changed(TileConfig config, Change&& change) {
  change(config);
  return config;
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

TEST(TileConfig, OfAForwardWithWgmmaHasWholeWarpgroupsOf64Rows) {
  const KernelDescriptor descriptor = hopper_forward(64);
  for (int warps = 0; warps <= 16; ++warps) {
    for (int tile_q = 16; tile_q <= 256; tile_q += 16) {
      const bool legal = (warps == 4 || warps == 8 || warps == 12) && tile_q == 16 * warps;
      EXPECT_EQ(broken_rules(descriptor, {tile_q, 64, warps, 2}).empty(), legal) << tile_q << " " << warps;
    }
  }
  for (int tile_k = 0; tile_k <= 272; tile_k += 8)
    EXPECT_EQ(broken_rules(descriptor, {128, tile_k, 8, 2}).empty(), tile_k >= 16 && tile_k <= 256 && tile_k % 16 == 0)
        << tile_k;
}

TEST(TileConfig, OfAForwardWithWgmmaMayHaveEverySchedule) {
  for (const bool overlap : {false, true})
    for (const bool turns : {false, true})
      for (const int query_slots : {1, 2})
        EXPECT_THAT(broken_rules(hopper_forward(128), {128, 128, 8, 2, false, 1, overlap, turns, query_slots}),
                    IsEmpty());
}

TEST(TileConfig, EachBrokenRuleOfAForwardWithWgmmaNamesItsFieldAndValue) {
  struct Broken {
    TileConfig config;
    const char* rule;
  };
  const Broken cases[] = {
      {changed(kWgmmaConfig, [](auto& c) { c.warps = 6; }), "warps = 6: 4, 8 or 12"},
      {changed(kWgmmaConfig, [](auto& c) { c.tile_q = 64; }), "tile_q = 64: 128 (16 rows for each of 8 warps)"},
      {changed(kWgmmaConfig, [](auto& c) { c.tile_k = 24; }), "tile_k = 24: a multiple of 16"},
      {changed(kWgmmaConfig, [](auto& c) { c.tile_k = 272; }), "tile_k = 272"},
      {changed(kWgmmaConfig, [](auto& c) { c.stages = 1; }), "stages = 1"},
      {changed(kWgmmaConfig, [](auto& c) { c.stages = 7; }), "stages = 7"},
      {changed(kWgmmaConfig, [](auto& c) { c.query_in_registers = true; }), "query_in_registers = true"},
      {changed(kWgmmaConfig, [](auto& c) { c.column_warps = 2; }), "column_warps = 2"},
      {changed(kWgmmaConfig, [](auto& c) { c.query_slots = 0; }), "query_slots = 0: 1 or 2"},
      {changed(kWgmmaConfig, [](auto& c) { c.query_slots = 3; }), "query_slots = 3: 1 or 2"},
  };
  for (const Broken& broken : cases)
    EXPECT_THAT(broken_rules(hopper_forward(64), broken.config), ElementsAre(HasSubstr(broken.rule))) << broken.rule;
}

TEST(TileConfig, WhatOnlyWgmmaHasIsRefusedByAllOthersByName) {
  KernelDescriptor backward = hopper_forward(64);
  backward.pass = Pass::kBackward;
  KernelDescriptor portable = hopper_forward(64);
  portable.target = {90, false};
  for (const KernelDescriptor& descriptor : {portable, backward}) {
    const TileConfig usual = default_tile_config(descriptor);
    EXPECT_THAT(broken_rules(descriptor, changed(usual, [](auto& c) { c.overlap = true; })),
                ElementsAre(HasSubstr("overlap = true")));
    EXPECT_THAT(broken_rules(descriptor, changed(usual, [](auto& c) { c.turns = true; })),
                ElementsAre(HasSubstr("turns = true")));
    EXPECT_THAT(broken_rules(descriptor, changed(usual, [](auto& c) { c.query_slots = 2; })),
                ElementsAre(HasSubstr("query_slots = 2")));
    EXPECT_THAT(broken_rules(descriptor, {.overlap = true, .turns = true, .query_slots = 7}),
                testing::IsSupersetOf({HasSubstr("overlap"), HasSubstr("turns"), HasSubstr("query_slots = 7")}));
  }
}

TEST(TileConfig, OfAForwardWithWgmmaIsRefusedWhereItsRingsDoNotFit) {
  // Slots of 64 KiB for the queries, 2 x 2 of 64 KiB each for keys and values: more than 227 KiB.
  const KernelDescriptor descriptor = hopper_forward(256);
  const auto rules = broken_rules(descriptor, kWgmmaConfig);
  ASSERT_THAT(rules, SizeIs(1));
  EXPECT_THAT(rules[0], testing::AllOf(HasSubstr("128x128 w8 s2: "), HasSubstr("sm_90a allows 232448 per CTA")));
  EXPECT_THAT(broken_rules(descriptor, changed(kWgmmaConfig, [](auto& c) { c.tile_k = 64; })), IsEmpty());
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

KernelDescriptor hopper_backward(int head_dim) {
  KernelDescriptor descriptor = hopper_forward(head_dim);
  descriptor.pass = Pass::kBackward;
  return descriptor;
}

TEST(TileConfig, OfABackwardWithWgmmaHasTwoWarpgroupsWith64KeysEachOrWith64ThatTheyShare) {
  const KernelDescriptor descriptor = hopper_backward(64);
  int legal = 0;
  for (int column_warps = 0; column_warps <= 3; ++column_warps)
    for (int warps = 0; warps <= 16; ++warps)
      for (int tile_q = 0; tile_q <= 272; tile_q += 8)
        for (int tile_k = 0; tile_k <= 272; tile_k += 8) {
          const bool has_own_keys = column_warps == 1 && tile_k == 128 && (tile_q == 64 || tile_q == 128);
          const bool shares_keys = column_warps == 2 && tile_k == 64 && tile_q == 64;
          const bool is_legal = warps == 8 && (has_own_keys || shares_keys);
          const TileConfig config{tile_q, tile_k, warps, 2, false, column_warps};
          ASSERT_EQ(broken_rules(descriptor, config).empty(), is_legal) << to_string(config);
          legal += is_legal ? 1 : 0;
        }
  EXPECT_EQ(legal, 3);
}

TEST(TileConfig, EachBrokenRuleOfABackwardWithWgmmaNamesItsFieldAndValue) {
  constexpr TileConfig kOwnKeys{64, 128, 8, 2}, kSharedKeys{64, 64, 8, 2, false, 2};
  struct Broken {
    TileConfig config;
    const char* rule;
  };
  const Broken cases[] = {
      {changed(kOwnKeys, [](auto& c) { c.warps = 4; }), "warps = 4: 8 (two warpgroups) are needed"},
      {changed(kSharedKeys, [](auto& c) { c.warps = 12; }), "warps = 12: 8 (two warpgroups) are needed"},
      {changed(kOwnKeys, [](auto& c) { c.column_warps = 0; }), "column_warps = 0: 1 or 2 are allowed"},
      {changed(kOwnKeys, [](auto& c) { c.column_warps = 4; }), "column_warps = 4: 1 or 2 are allowed"},
      {changed(kOwnKeys, [](auto& c) { c.tile_k = 64; }), "tile_k = 64: 128 (64 keys for each warpgroup"},
      {changed(kOwnKeys, [](auto& c) { c.tile_k = 256; }), "tile_k = 256: 128 (64 keys for each warpgroup"},
      {changed(kSharedKeys, [](auto& c) { c.tile_k = 128; }), "tile_k = 128: 64 (64 keys for each warpgroup, or for"},
      {changed(kOwnKeys, [](auto& c) { c.tile_q = 96; }), "tile_q = 96: 64 or 128 is allowed"},
      {changed(kOwnKeys, [](auto& c) { c.tile_q = 192; }), "tile_q = 192: 64 or 128 is allowed"},
      {changed(kSharedKeys, [](auto& c) { c.tile_q = 128; }), "tile_q = 128: 64 (the warpgroups share their keys)"},
      {changed(kOwnKeys, [](auto& c) { c.query_in_registers = true; }), "query_in_registers = true: query tiles"},
      {changed(kOwnKeys, [](auto& c) { c.stages = 1; }), "stages = 1: 2 to 6 are allowed"},
      {changed(kSharedKeys, [](auto& c) { c.stages = 7; }), "stages = 7: 2 to 6 are allowed"},
  };
  for (const Broken& broken : cases)
    EXPECT_THAT(broken_rules(hopper_backward(64), broken.config), ElementsAre(HasSubstr(broken.rule))) << broken.rule;
  EXPECT_THAT(broken_rules(hopper_backward(64), {32, 32, 2, 1, true, 1, true, true, 2}),
              ElementsAre(HasSubstr("warps = 2"), HasSubstr("tile_k = 32"), HasSubstr("tile_q = 32"),
                          HasSubstr("query_in_registers"), HasSubstr("overlap"), HasSubstr("turns"),
                          HasSubstr("query_slots = 2"), HasSubstr("stages = 1")));
}

TEST(TileConfig, OfABackwardWithWgmmaIsRefusedWhereItsSlotsDoNotFit) {
  // Keys and values of 128 KiB, two slots of 64 KiB each for queries and dO: more than 227 KiB.
  const auto rules = broken_rules(hopper_backward(256), {64, 128, 8, 2});
  ASSERT_THAT(rules, SizeIs(1));
  EXPECT_THAT(rules[0], testing::AllOf(HasSubstr("64x128 w8 s2: "), HasSubstr("sm_90a allows 232448 per CTA"),
                                       HasSubstr("use smaller tiles or fewer stages")));
  EXPECT_THAT(broken_rules(hopper_backward(256), {64, 64, 8, 2, false, 2}), IsEmpty());
  EXPECT_THAT(broken_rules(hopper_backward(256), {64, 64, 8, 3, false, 2}), ElementsAre(HasSubstr("64x64 w8 s3 c2: ")));
  EXPECT_THAT(broken_rules(hopper_backward(64), {128, 128, 8, 3}), IsEmpty());
  EXPECT_THAT(broken_rules(hopper_backward(64), {128, 128, 8, 4}), ElementsAre(HasSubstr("128x128 w8 s4: ")));
}

TEST(TileConfig, OfABackwardWithWgmmaHasSharedMemoryForSumsOfTheQueryGradientWhereTheyFit) {
  KernelDescriptor descriptor = hopper_backward(64);
  const auto bytes = [&](const TileConfig& config) { return estimate_resources(descriptor, config).shared_bytes; };
  constexpr TileConfig kOwnKeys{64, 128, 8, 2}, kSharedKeys{64, 64, 8, 2, false, 2};
  EXPECT_EQ(estimate_resources(descriptor, kOwnKeys).warps_per_cta, 12);
  EXPECT_EQ(estimate_resources(descriptor, kOwnKeys).registers_per_thread, 168);
  EXPECT_EQ(estimate_resources(descriptor, kOwnKeys).ctas_per_sm, 1);

  // A slot: Q and dO, the terms of 64 rows, a note, two mbarriers of each of two rings.
  const auto slot = [](int head_dim) { return 64 * (2 * head_dim * 2 + 8) + 16 + 4 * 8; };
  const auto with_stages = [&](int stages) { return bytes(changed(kOwnKeys, [&](auto& c) { c.stages = stages; })); };
  EXPECT_EQ(with_stages(3) - with_stages(2), slot(64));
  EXPECT_EQ(with_stages(6) - with_stages(2), 4 * slot(64));
  // Half of the keys and values. Scores take as much: where keys are shared, P passes through shared memory as well.
  EXPECT_EQ(bytes(kOwnKeys) - bytes(kSharedKeys), 64 * (64 + 64) * 2);
  // Of 128 columns a fourth slot takes the place of the sums, which go without.
  descriptor = hopper_backward(128);
  EXPECT_EQ(with_stages(3) - with_stages(2), slot(128));
  EXPECT_EQ(with_stages(4) - with_stages(3), slot(128) - 64 * 128 * 4);

  // Deterministic: where each warp's turn is passed on.
  descriptor = hopper_backward(64);
  const int in_any_order = bytes(kOwnKeys);
  descriptor.deterministic = true;
  EXPECT_EQ(bytes(kOwnKeys) - in_any_order, 8 * 8);
  // A mask is read by those who need it, and takes none.
  descriptor.mask_form = MaskForm::kF4;
  EXPECT_EQ(bytes(kOwnKeys) - in_any_order, 8 * 8);
}

TEST(TileConfig, OfEveryBackwardHasADefaultOnEveryTarget) {
  for (const int head_dim : {8, 64, 72, 128, 136, 256}) {
    for (const char* target : {"sm_80", "sm_86", "sm_90", "sm_90a", "sm_120"}) {
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

TEST(TileConfig, OfAForwardWithWgmmaNeedsSharedMemoryForEverySlotAndAWarpgroupMore) {
  const KernelDescriptor descriptor = hopper_forward(64);
  const ResourceEstimate base = estimate_resources(descriptor, kWgmmaConfig);
  EXPECT_EQ(base.warps_per_cta, 12);
  EXPECT_EQ(base.registers_per_thread, 168);
  EXPECT_EQ(base.ctas_per_sm, 1);
  EXPECT_EQ(
      estimate_resources(descriptor, {.tile_q = 192, .tile_k = 128, .warps = 12, .stages = 2}).registers_per_thread,
      128);
  const auto grown = [&](auto&& change) {
    return estimate_resources(descriptor, changed(kWgmmaConfig, change)).shared_bytes - base.shared_bytes;
  };
  constexpr int kTile = 128 * 64 * 2;
  EXPECT_GE(grown([](auto& c) { c.query_slots = 2; }), kTile);
  EXPECT_GE(grown([](auto& c) { c.stages = 3; }), 2 * kTile);
  EXPECT_EQ(grown([](auto& c) { c.overlap = c.turns = true; }), 0);
  KernelDescriptor masked = descriptor;
  int last = base.shared_bytes;
  for (MaskForm form : {MaskForm::kC1, MaskForm::kC2, MaskForm::kF4}) {  // with more and more intervals
    masked.mask_form = form;
    const int bytes = estimate_resources(masked, kWgmmaConfig).shared_bytes;
    EXPECT_GT(bytes, last) << to_string(form);
    last = bytes;
  }
}

TEST(TileConfig, IsReadBackFromWhatIsWritten) {
  int configs = 0;
  for (const int tile_q : {16, 64, 128, 192, 256}) {
    for (const int tile_k : {16, 96, 256}) {
      for (const int warps : {1, 4, 8, 12}) {
        for (const int stages : {2, 3, 6}) {
          for (int flags = 0; flags < 8; ++flags) {
            for (const int column_warps : {1, 2}) {
              for (const int query_slots : {1, 2}) {
                const TileConfig config{tile_q,           tile_k,           warps,
                                        stages,           (flags & 1) != 0, column_warps,
                                        (flags & 2) != 0, (flags & 4) != 0, query_slots};
                const std::string text = to_string(config);
                const std::string word = to_word(config);
                ASSERT_EQ(word.find(' '), std::string::npos) << word;
                ASSERT_EQ(parse_tile_config(text), config) << text;
                ASSERT_EQ(parse_tile_config(word), config) << word;
                ++configs;
              }
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(configs, 5 * 3 * 4 * 3 * 8 * 2 * 2);
  for (const TileConfig& odd :
       {TileConfig{-64, 0, 0, 99}, TileConfig{.tile_q = 1, .column_warps = 0, .query_slots = -3}})
    EXPECT_EQ(parse_tile_config(to_string(odd)), odd) << to_string(odd);
}

TEST(TileConfig, AnyOtherTextIsNone) {
  for (const char* text : {"",
                           " ",
                           "any tile",
                           "128",
                           "128x64",
                           "128x64 w4",
                           "128x64 s2 w4",
                           "128x64  w4 s2",
                           " 128x64 w4 s2",
                           "128x64 w4 s2 ",
                           "128x64 w4 s2,",
                           "128x64,w4 s2",
                           "0128x64 w4 s2",
                           "+128x64 w4 s2",
                           "128X64 w4 s2",
                           "128x64 w4 s2 c1",
                           "128x64 w4 s2 q1",
                           "128x64 w4 s2 q2 q2",
                           "128x64 w4 s2 overlap overlap",
                           "128x64 w4 s2 turns overlap",
                           "128x64 w4 s2 q2 turns",
                           "128x64 w4 s2 qreg2",
                           "128x64 w4 s2 overlapturns",
                           "128x64 w4 s2 c",
                           "128x64 w4 s2 q",
                           "128x64 wx s2",
                           "128x64 w4 s2.0",
                           "99999999999x64 w4 s2",
                           "0x0 w0 s0"})
    EXPECT_EQ(parse_tile_config(text), std::nullopt) << text;
}

TEST(TileConfig, IsWrittenInOneShortLine) {
  EXPECT_EQ(to_string(kConfig), "128x64 w4 s2");
  EXPECT_NE(to_string(kConfig), to_string(TileConfig{128, 64, 4, 2, true}));
  EXPECT_EQ(to_string(TileConfig{128, 128, 8, 2, false, 1, true, true, 2}), "128x128 w8 s2 overlap turns q2");
  EXPECT_EQ(to_word(TileConfig{128, 128, 8, 2, false, 1, true, true, 2}), "128x128,w8,s2,overlap,turns,q2");
}

}  // namespace
}  // namespace flashmask
