#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "flashmask/kernel_descriptor.h"

namespace flashmask {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr MaskForm kForms[] = {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1,
                               MaskForm::kC2,   MaskForm::kF2,     MaskForm::kF4};

TEST(Descriptor, TheDefaultIsLegal) {
  EXPECT_THAT(broken_rules(KernelDescriptor{}), IsEmpty());
}

TEST(Descriptor, EveryMultipleOf8UpTo256IsALegalHeadDimAndNothingElse) {
  for (int head_dim = -8; head_dim <= 300; ++head_dim) {
    const bool legal = head_dim >= 8 && head_dim <= 256 && head_dim % 8 == 0;
    KernelDescriptor qk, v;
    qk.head_dim_qk = head_dim;
    v.head_dim_v = head_dim;
    EXPECT_EQ(broken_rules(qk).empty(), legal) << head_dim;
    EXPECT_EQ(broken_rules(v).empty(), legal) << head_dim;
  }
}

struct BrokenCase {
  const char* name;
  void (*breaks)(KernelDescriptor&);
  const char* names_field;  ///< what the rule must mention …
  const char* names_value;  ///< … and the value that was asked for
};

const BrokenCase kBrokenCases[] = {
    {"pass", [](KernelDescriptor& d) { d.pass = static_cast<Pass>(7); }, "pass", "7"},
    {"dtype", [](KernelDescriptor& d) { d.dtype = static_cast<DataType>(9); }, "dtype", "9"},
    {"head_dim_qk not a multiple of 8", [](KernelDescriptor& d) { d.head_dim_qk = 100; }, "head_dim_qk", "100"},
    {"head_dim_qk too large", [](KernelDescriptor& d) { d.head_dim_qk = 264; }, "head_dim_qk", "264"},
    {"head_dim_v zero", [](KernelDescriptor& d) { d.head_dim_v = 0; }, "head_dim_v", "0"},
    {"head_dim_v negative", [](KernelDescriptor& d) { d.head_dim_v = -8; }, "head_dim_v", "-8"},
    {"mask form", [](KernelDescriptor& d) { d.mask_form = static_cast<MaskForm>(42); }, "mask_form", "42"},
    {"alignment without a diagonal", [](KernelDescriptor& d) { d.causal_alignment = CausalAlignment::kTopLeft; },
     "causal_alignment", "top-left"},
    {"unknown target", [](KernelDescriptor& d) { d.target = {75, false}; }, "target", "sm_75"},
    {"no arch-specific variant", [](KernelDescriptor& d) { d.target = {80, true}; }, "target", "sm_80a"},
};

TEST(Descriptor, EachBrokenRuleNamesItsFieldAndValue) {
  for (const BrokenCase& broken : kBrokenCases) {
    KernelDescriptor descriptor;
    broken.breaks(descriptor);
    const auto rules = broken_rules(descriptor);
    ASSERT_THAT(rules, SizeIs(1)) << broken.name;
    EXPECT_THAT(rules[0], HasSubstr(broken.names_field));
    EXPECT_THAT(rules[0], HasSubstr(broken.names_value));
  }
}

TEST(Descriptor, AllBrokenRulesAreListedAtOnce) {
  KernelDescriptor descriptor;
  descriptor.dtype = static_cast<DataType>(9);
  descriptor.head_dim_qk = 100;
  descriptor.head_dim_v = 300;
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  descriptor.target = {75, false};
  EXPECT_THAT(broken_rules(descriptor),
              ElementsAre(HasSubstr("dtype = 9"), HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 300"),
                          HasSubstr("causal_alignment"), HasSubstr("sm_75")));
}

TEST(Descriptor, AHeadDimBetweenMultiplesIsToldWhatToPadTo) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 100;
  EXPECT_THAT(broken_rules(descriptor).front(), HasSubstr("104"));
}

TEST(Descriptor, AnUnknownTargetIsToldTheKnownOnes) {
  KernelDescriptor descriptor;
  descriptor.target = {75, false};
  EXPECT_THAT(broken_rules(descriptor).front(), HasSubstr(known_targets()));
}

TEST(Names, OfEveryValueAreReadBack) {
  for (Pass pass : {Pass::kForward, Pass::kMaskPlan, Pass::kMaskBuild}) EXPECT_EQ(parse_pass(to_string(pass)), pass);
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    EXPECT_EQ(parse_data_type(to_string(dtype)), dtype);
  }
  for (MaskForm form : kForms) EXPECT_EQ(parse_mask_form(to_string(form)), form);
  for (CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
    EXPECT_EQ(parse_causal_alignment(to_string(alignment)), alignment);
  }
}

TEST(Names, OfEveryTargetAreReadBackAndAreLegal) {
  std::string names = known_targets();
  std::erase(names, ',');
  std::istringstream stream(names);
  int count = 0;
  for (std::string name; stream >> name;) {
    const auto target = parse_target(name);
    ASSERT_TRUE(target.has_value()) << name;
    EXPECT_EQ(to_string(*target), name);
    KernelDescriptor descriptor;
    descriptor.target = *target;
    EXPECT_THAT(broken_rules(descriptor), IsEmpty()) << name;
    ++count;
  }
  EXPECT_GE(count, 5);
  for (const char* expected : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_120"}) {
    EXPECT_TRUE(parse_target(expected).has_value()) << expected;
  }
}

TEST(Names, ThatAreNotExactlyOnesOwnAreRefused) {
  for (const char* text : {"", " bf16", "BF16", "bf16 ", "bfloat16", "fp32"}) {
    EXPECT_FALSE(parse_data_type(text).has_value()) << text;
  }
  for (const char* text : {"", "C1", "c3", "c1 ", "full"}) EXPECT_FALSE(parse_mask_form(text).has_value()) << text;
  for (const char* text : {"", "backwards", "Forward"}) EXPECT_FALSE(parse_pass(text).has_value()) << text;
  for (const char* text : {"", "bottom_right", "topleft"}) {
    EXPECT_FALSE(parse_causal_alignment(text).has_value()) << text;
  }
  for (const char* text : {"", "sm_75", "sm_80a", "sm80", "sm_", "sm_90b", "sm_090", "80", "sm_90 "}) {
    EXPECT_FALSE(parse_target(text).has_value()) << text;
  }
}

TEST(Names, OfADescriptorSayEverythingThatMatters) {
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kC1;
  descriptor.target = {90, true};
  EXPECT_EQ(to_string(descriptor), "forward bf16 d128 c1 bottom-right sm_90a");
  descriptor.head_dim_qk = 192;
  EXPECT_THAT(to_string(descriptor), HasSubstr("d192/128"));
  descriptor.mask_form = MaskForm::kF4;
  EXPECT_THAT(to_string(descriptor), Not(HasSubstr("bottom-right")));
}

TEST(Names, OfAMasksKernelsSayNothingOfAttention) {
  EXPECT_EQ(to_string(KernelDescriptor::mask_build(MaskForm::kF2, {80, false})), "mask-build f2 sm_80");
  EXPECT_EQ(to_string(KernelDescriptor::mask_build(MaskForm::kC1, {90, true})), "mask-build c1 bottom-right sm_90a");
}

TEST(MaskBuilds, AreOfFormsC1AndF2AndKnowNothingOfAttention) {
  for (MaskForm form : kForms)
    EXPECT_EQ(broken_rules(KernelDescriptor::mask_build(form, {})).empty(),
              form == MaskForm::kC1 || form == MaskForm::kF2)
        << to_string(form);
  KernelDescriptor descriptor = KernelDescriptor::mask_build(MaskForm::kC1, {});
  descriptor.head_dim_v = 64;
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  EXPECT_THAT(broken_rules(descriptor),
              ElementsAre(HasSubstr("head_dim_v = 64"), HasSubstr("last positions of the keys")));
}

TEST(MaskForms, AreNamedByCausalAndTheNumberOfVectors) {
  EXPECT_EQ(mask_form_of(true, 1), MaskForm::kC1);
  EXPECT_EQ(mask_form_of(true, 2), MaskForm::kC2);
  EXPECT_EQ(mask_form_of(false, 2), MaskForm::kF2);
  EXPECT_EQ(mask_form_of(false, 4), MaskForm::kF4);
  for (int vectors = -1; vectors <= 5; ++vectors) {
    EXPECT_EQ(mask_form_of(true, vectors).has_value(), vectors == 1 || vectors == 2) << vectors;
    EXPECT_EQ(mask_form_of(false, vectors).has_value(), vectors == 2 || vectors == 4) << vectors;
  }
}

TEST(MaskForms, HaveAsManyVectorsAsTheirDefinition) {
  const int expected[] = {0, 0, 0, 1, 2, 2, 4};
  for (std::size_t i = 0; i < std::size(kForms); ++i) EXPECT_EQ(vectors_per_column(kForms[i]), expected[i]);
}

TEST(MaskForms, HaveADiagonalWhereTheyMaskAboveIt) {
  for (MaskForm form : kForms) {
    const bool expected = form != MaskForm::kNone && form != MaskForm::kF2 && form != MaskForm::kF4;
    EXPECT_EQ(has_diagonal(form), expected) << to_string(form);
  }
}

}  // namespace
}  // namespace flashmask
