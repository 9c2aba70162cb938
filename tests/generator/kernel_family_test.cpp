#include "generator/kernel_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/generator/all_targets.h"

namespace flashmask::generator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(KernelFamily, OneServesEveryTarget) {
  for (const Target& target : test::all_targets()) {
    KernelDescriptor descriptor;
    descriptor.target = target;
    EXPECT_EQ(family_of(descriptor).name, "mma.sync");
    EXPECT_EQ(family_of(descriptor).targets, "sm_80 and up");
    EXPECT_EQ(family_of(descriptor).note.empty(), !target.arch_specific) << to_string(target);
  }
}

TEST(KernelFamily, OfMasksMultipliesNothing) {
  EXPECT_EQ(family_of(KernelDescriptor::mask_plan(MaskForm::kC1, CausalAlignment::kBottomRight, {})).name, "masks");
  EXPECT_EQ(family_of(KernelDescriptor::mask_build(MaskForm::kC1, {})).name, "masks");
}

TEST(KernelFamily, AnArchSpecificTargetIsToldThatItHasNoneOfItsOwnYet) {
  KernelDescriptor descriptor;
  descriptor.target = {90, true};
  EXPECT_THAT(family_of(descriptor).note, AllOf(HasSubstr("no family for sm_90a"), HasSubstr("sm_90 gets the same")));
}

}  // namespace
}  // namespace flashmask::generator
