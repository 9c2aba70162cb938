#include "generator/tile_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/generator/all_targets.h"

namespace flashmask {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

KernelDescriptor descriptor_of(int head_dim, Target target, MaskForm form = MaskForm::kNone) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.target = target;
  descriptor.mask_form = form;
  return descriptor;
}

/// What must hold of a choice, whatever the descriptor.
void expect_sound(const KernelDescriptor& descriptor, const TileChoice& choice) {
  ASSERT_EQ(choice.config, default_tile_config(descriptor));
  ASSERT_THAT(choice.reason, testing::Not(IsEmpty()));
  int chosen = 0;
  for (const TileCandidate& candidate : choice.candidates) {
    const bool fits = broken_rules(descriptor, candidate.config).empty();
    ASSERT_EQ(fits, candidate.resources.ctas_per_sm > 0) << to_string(candidate.config);
    ASSERT_EQ(fits, candidate.verdict != TileVerdict::kRefused) << to_string(candidate.config);
    ASSERT_EQ(candidate.reasons.empty(), candidate.verdict == TileVerdict::kChosen) << to_string(candidate.config);
    if (candidate.verdict != TileVerdict::kChosen) continue;
    ++chosen;
    ASSERT_EQ(candidate.config, choice.config);
  }
  ASSERT_EQ(chosen, 1);
}

TEST(TileChoice, OfEveryLegalDescriptorFitsItsTargetAndTellsOfEachCandidate) {
  for (const Target& target : test::all_targets()) {
    for (MaskForm form : {MaskForm::kNone, MaskForm::kC1, MaskForm::kF4}) {
      for (int head_dim_qk = 8; head_dim_qk <= 256; head_dim_qk += 8) {
        for (int head_dim_v = 8; head_dim_v <= 256; head_dim_v += 24) {
          KernelDescriptor descriptor = descriptor_of(head_dim_qk, target, form);
          descriptor.head_dim_v = head_dim_v;
          expect_sound(descriptor, choose_default_tile(descriptor));
          if (HasFatalFailure()) FAIL() << to_string(descriptor);
        }
      }
    }
  }
}

TEST(TileChoice, OfEveryLegalBackwardFitsItsTargetAndTellsOfEachCandidate) {
  for (const Target& target : test::all_targets()) {
    for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kF4}) {
      for (int head_dim_qk = 8; head_dim_qk <= 256; head_dim_qk += 8) {
        for (int head_dim_v = 16; head_dim_v <= 256; head_dim_v += 24) {
          KernelDescriptor descriptor = descriptor_of(head_dim_qk, target, form);
          descriptor.pass = Pass::kBackward;
          descriptor.head_dim_v = head_dim_v;
          descriptor.deterministic = (head_dim_qk + head_dim_v) % 16 == 0;
          expect_sound(descriptor, choose_default_tile(descriptor));
          if (HasFatalFailure()) FAIL() << to_string(descriptor);
        }
      }
    }
  }
}

TEST(TileChoice, OfABackwardWithWgmmaGoesByTheWiderHeadDim) {
  constexpr TileConfig kNarrow{128, 128, 8, 2}, kMiddle{64, 128, 8, 2}, kWide{64, 64, 8, 2, false, 2};
  for (const bool deterministic : {false, true})
    for (MaskForm form : test::kAllForms)
      for (int head_dim = 8; head_dim <= 256; head_dim += 8)
        for (int other = 8; other <= head_dim; other += 8)
          for (const bool is_of_queries : {false, true}) {
            KernelDescriptor descriptor = descriptor_of(head_dim, {90, true}, form);
            descriptor.pass = Pass::kBackward;
            descriptor.deterministic = deterministic;
            (is_of_queries ? descriptor.head_dim_v : descriptor.head_dim_qk) = other;
            const TileConfig expected = head_dim <= 64 ? kNarrow : head_dim <= 128 ? kMiddle : kWide;
            ASSERT_EQ(default_tile_config(descriptor), expected) << to_string(descriptor);
          }
}

TEST(TileChoice, ACandidateThatDoesNotFitNamesTheLimitAndItsNumbers) {
  const TileChoice choice = choose_default_tile(descriptor_of(256, {86, false}));
  EXPECT_EQ(choice.candidates.front().verdict, TileVerdict::kRefused);
  EXPECT_THAT(choice.candidates.front().reasons,
              ElementsAre("131648 bytes of shared memory are needed, sm_86 allows 101376 per CTA"));
}

TEST(TileChoice, TwoCtasOnAnSmAreWorthASmallerTile) {
  // sm_80 holds two CTAs of 128x64 with head dim 128; sm_86, with 100 KiB, two of a smaller tile only.
  const TileChoice large = choose_default_tile(descriptor_of(128, {80, false}));
  const TileChoice small = choose_default_tile(descriptor_of(128, {86, false}));
  EXPECT_EQ(large.config, large.candidates.front().config);
  EXPECT_THAT(large.reason, HasSubstr("of which 2 CTAs fit an SM"));
  const TileCandidate& passed = small.candidates.front();
  EXPECT_EQ(passed.verdict, TileVerdict::kPassedOver);
  EXPECT_EQ(passed.resources.ctas_per_sm, 1);
  EXPECT_THAT(passed.reasons, ElementsAre(AllOf(HasSubstr("1 CTA per SM, limited by shared memory"),
                                                HasSubstr(to_string(small.config)))));
}

TEST(TileChoice, WhereNoCandidateFitsTheLimitAndEveryCandidateAreNamed) {
  const KernelDescriptor descriptor = descriptor_of(128, {86, false});
  TargetLimits tiny = *limits_of(descriptor.target);
  tiny.shared_bytes_per_cta = 15 * 1024;
  tiny.shared_bytes_per_sm = 16 * 1024;
  const std::size_t candidates = choose_default_tile(descriptor).candidates.size();
  for (const bool explained : {false, true}) {
    try {
      if (explained)
        generator::choose_default_tile(descriptor, tiny);
      else
        generator::default_tile_config(descriptor, tiny);
      FAIL() << "a configuration that does not fit was given";
    } catch (const generator::NoFittingTile& error) {
      ASSERT_THAT(error.rules(), SizeIs(1 + candidates));
      EXPECT_THAT(error.rules()[0], AllOf(HasSubstr(to_string(descriptor)), HasSubstr("short of shared memory")));
      EXPECT_THAT(error.rules()[1], HasSubstr("128x64 w4 s2: 66112 bytes of shared memory are needed, sm_86 allows "
                                              "15360 per CTA"));
      for (const std::string& rule : error.rules()) EXPECT_THAT(error.what(), HasSubstr(rule));
    }
  }
}

TEST(TileChoice, WhereNoCandidateFitsEveryLimitThatIsShortIsNamed) {
  const KernelDescriptor descriptor = descriptor_of(128, {86, false});
  TargetLimits tiny = *limits_of(descriptor.target);
  tiny.shared_bytes_per_cta = tiny.registers_per_cta = tiny.warps_per_sm = 1;
  try {
    generator::default_tile_config(descriptor, tiny);
    FAIL();
  } catch (const generator::NoFittingTile& error) {
    EXPECT_THAT(error.rules()[0], HasSubstr("short of shared memory and registers and warps"));
  }
}

TEST(TileChoice, OfAnIllegalDescriptorIsRefusedWithEveryRule) {
  KernelDescriptor descriptor = descriptor_of(100, {75, false});
  descriptor.head_dim_v = 300;
  try {
    default_tile_config(descriptor);
    FAIL();
  } catch (const generator::InvalidRequest& error) {
    EXPECT_EQ(error.rules(), broken_rules(descriptor));
  }
  EXPECT_THROW(choose_default_tile(descriptor), std::invalid_argument);
}

}  // namespace
}  // namespace flashmask
