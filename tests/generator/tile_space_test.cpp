#include "flashmask/tile_space.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace flashmask {
namespace {

std::vector<KernelDescriptor> descriptors() {
  std::vector<KernelDescriptor> all;
  for (const Target target : {Target{80, false}, Target{90, true}, Target{120, false}})
    for (const Pass pass : {Pass::kForward, Pass::kBackward})
      for (const int head_dim : {64, 96, 128, 256})
        for (const MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kC1, MaskForm::kF4})
          all.push_back({pass, DataType::kBfloat16, head_dim, head_dim, form, CausalAlignment::kBottomRight, target});
  return all;
}

bool is_legal(const KernelDescriptor& descriptor, const TileConfig& config) {
  return broken_rules(descriptor, config).empty();
}

TEST(TileSpace, TheDefaultComesFirst) {
  for (const KernelDescriptor& descriptor : descriptors())
    EXPECT_EQ(tile_space(descriptor).members.at(0).config, default_tile_config(descriptor)) << to_string(descriptor);
}

TEST(TileSpace, EveryMemberIsLegalAndFitsItsTarget) {
  for (const KernelDescriptor& descriptor : descriptors())
    for (const SpaceMember& member : tile_space(descriptor).members) {
      EXPECT_TRUE(is_legal(descriptor, member.config)) << to_string(descriptor) << " " << to_string(member.config);
      EXPECT_GE(member.resources.ctas_per_sm, 1) << to_string(descriptor) << " " << to_string(member.config);
    }
}

TEST(TileSpace, WhatIsLegalIsTriedOrPrunedWithAReason) {
  for (const KernelDescriptor& descriptor : descriptors()) {
    const TileSpace space = tile_space(descriptor);
    std::set<std::string> names;
    for (const SpaceMember& member : space.members) names.insert(to_string(member.config));
    for (const PrunedMember& pruned : space.pruned) {
      names.insert(to_string(pruned.config));
      EXPECT_TRUE(is_legal(descriptor, pruned.config));
      EXPECT_FALSE(pruned.reason.empty());
    }
    EXPECT_EQ(names.size(), space.members.size() + space.pruned.size()) << "one comes twice";
    EXPECT_LE(space.legal, space.combinations);
    // A default may lie beyond the values that the space combines.
    EXPECT_GE(names.size(), space.legal);
    EXPECT_LE(names.size(), space.legal + 1);
  }
}

TEST(TileSpace, ThereIsSomethingToChooseFrom) {
  for (const KernelDescriptor& descriptor : descriptors()) {
    const std::size_t members = tile_space(descriptor).members.size();
    // Wide backwards fit an SM in one way.
    const bool is_wide = descriptor.pass == Pass::kBackward && descriptor.head_dim_qk > 128;
    EXPECT_GE(members, is_wide ? 1u : 6u) << to_string(descriptor);
    EXPECT_LE(members, 200u) << to_string(descriptor) << ": too many to compile in a few minutes";
  }
}

TEST(TileSpace, NeighboursOfTheDefaultComeBeforeDistantOnes) {
  for (const KernelDescriptor& descriptor : descriptors()) {
    const TileSpace space = tile_space(descriptor);
    const TileConfig chosen = space.members[0].config;
    EXPECT_TRUE(std::ranges::is_sorted(space.members, {}, [&](const SpaceMember& member) {
      return parameters_apart(member.config, chosen);
    })) << to_string(descriptor);
  }
}

TEST(TileSpace, TheSameDescriptorGivesTheSameSpace) {
  const KernelDescriptor descriptor = descriptors().at(20);
  const TileSpace a = tile_space(descriptor), b = tile_space(descriptor);
  EXPECT_TRUE(std::ranges::equal(a.members, b.members, {}, &SpaceMember::config, &SpaceMember::config));
}

TEST(TileSpace, KernelsOfMasksHaveNone) {
  EXPECT_THROW(tile_space(KernelDescriptor::mask_plan(MaskForm::kC1, CausalAlignment::kBottomRight, {90, true})),
               std::invalid_argument);
  KernelDescriptor illegal = descriptors().at(0);
  illegal.head_dim_qk = 100;
  EXPECT_THROW(tile_space(illegal), std::invalid_argument);
}

TEST(ParametersApart, CountsEachParameterOnce) {
  const TileConfig a{128, 128, 8, 2, false, 1, true, true, 2};
  TileConfig b = a;
  EXPECT_EQ(parameters_apart(a, b), 0);
  b.turns = false;
  EXPECT_EQ(parameters_apart(a, b), 1);
  b.tile_k = 160;
  EXPECT_EQ(parameters_apart(a, b), 3) << "two steps of 16 keys";
  TileConfig three_warpgroups = a;
  three_warpgroups.warps = 12;
  three_warpgroups.tile_q = 192;
  EXPECT_EQ(parameters_apart(a, three_warpgroups), 1) << "the rows follow from the warps";
}

}  // namespace
}  // namespace flashmask
