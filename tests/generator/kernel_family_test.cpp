#include "generator/kernel_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/generator/all_targets.h"

namespace flashmask::generator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Target kHopper{90, true};

KernelDescriptor descriptor_of(Pass pass, Target target) {
  KernelDescriptor descriptor;
  descriptor.pass = pass;
  descriptor.target = target;
  return descriptor;
}

TEST(KernelFamily, OfAttentionForSm90aIsWgmmaWhateverTheFormAndHeadDims) {
  for (Pass pass : {Pass::kForward, Pass::kBackward}) {
    for (MaskForm form : test::kAllForms) {
      for (int head_dim : {8, 64, 72, 128, 256}) {
        KernelDescriptor descriptor = descriptor_of(pass, kHopper);
        descriptor.mask_form = form;
        descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
        EXPECT_TRUE(uses_wgmma(descriptor)) << to_string(descriptor);
        EXPECT_EQ(family_of(descriptor).name, "wgmma");
        EXPECT_EQ(family_of(descriptor).targets, "sm_90a");
        EXPECT_THAT(family_of(descriptor).note, IsEmpty());
      }
    }
  }
}

TEST(KernelFamily, OfAllOtherAttentionIsMmaSync) {
  for (const Target& target : test::all_targets()) {
    if (target == kHopper) continue;
    for (Pass pass : {Pass::kForward, Pass::kBackward}) {
      const KernelDescriptor descriptor = descriptor_of(pass, target);
      EXPECT_FALSE(uses_wgmma(descriptor)) << to_string(descriptor);
      EXPECT_EQ(family_of(descriptor).name, "mma.sync");
      EXPECT_EQ(family_of(descriptor).targets, "sm_80 and up");
      EXPECT_EQ(family_of(descriptor).note.empty(), !target.arch_specific) << to_string(descriptor);
    }
  }
}

TEST(KernelFamily, OfMasksMultipliesNothing) {
  for (const Target& target : {Target{80, false}, kHopper}) {
    for (const KernelDescriptor& descriptor :
         {KernelDescriptor::mask_plan(MaskForm::kC1, CausalAlignment::kBottomRight, target),
          KernelDescriptor::mask_build(MaskForm::kC1, target)}) {
      EXPECT_FALSE(uses_wgmma(descriptor));
      EXPECT_EQ(family_of(descriptor).name, "masks");
    }
  }
}

TEST(KernelFamily, AnArchSpecificTargetIsToldOfThePassThatItHasNotOfItsOwnYet) {
  EXPECT_THAT(family_of(descriptor_of(Pass::kBackward, {120, true})).note,
              AllOf(HasSubstr("no backward of its own for sm_120a"), HasSubstr("sm_120 gets the same")));
  EXPECT_THAT(family_of(descriptor_of(Pass::kForward, {100, true})).note,
              AllOf(HasSubstr("no forward of its own for sm_100a"), HasSubstr("sm_100 gets the same")));
}

}  // namespace
}  // namespace flashmask::generator
