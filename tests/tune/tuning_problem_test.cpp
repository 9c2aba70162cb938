#include "flashmask/tuning_problem.h"

#include <string>

#include "flashmask/error.h"

namespace flashmask {
namespace {

TuningProblem shape_of(MaskForm form, CausalAlignment alignment = CausalAlignment::kBottomRight) {
  return {.descriptor = {Pass::kForward, DataType::kBfloat16, 64, 64, form, alignment, Target{80, false}},
          .batch = 2,
          .num_heads_q = 8,
          .num_heads_kv = 2,
          .seqlen_q = 2048,
          .seqlen_k = 2048};
}

TEST(RepresentativeProblem, HasTheClassThatIsAskedFor) {
  for (const MaskForm form : {MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4})
    for (const DensityClass density : {DensityClass::kSparse, DensityClass::kLight, DensityClass::kMedium}) {
      const TuningProblem problem = representative_problem(shape_of(form), density);
      EXPECT_TRUE(broken_rules(problem).empty()) << to_string(problem);
      EXPECT_EQ(density_class(hint_of(problem).density), density) << to_string(form) << " " << to_string(problem);
      EXPECT_EQ(mask_of(problem).shape().form, form);
    }
}

TEST(RepresentativeProblem, OfAFormWithOneDensityHasThat) {
  for (const DensityClass density : {DensityClass::kSparse, DensityClass::kDense}) {
    EXPECT_EQ(density_class(hint_of(representative_problem(shape_of(MaskForm::kNone), density)).density),
              DensityClass::kDense);
    EXPECT_EQ(density_class(hint_of(representative_problem(shape_of(MaskForm::kCausal), density)).density),
              DensityClass::kMedium);
  }
}

TEST(RepresentativeProblem, KeepsTheAlignment) {
  for (const MaskForm form : {MaskForm::kCausal, MaskForm::kWindow}) {
    TuningProblem shape = shape_of(form, CausalAlignment::kTopLeft);
    shape.seqlen_q = 1024;
    const TuningProblem problem = representative_problem(shape, DensityClass::kLight);
    EXPECT_TRUE(broken_rules(problem).empty()) << to_string(problem);
    EXPECT_EQ(mask_of(problem).shape().causal_alignment, CausalAlignment::kTopLeft);
  }
}

TEST(RepresentativeProblem, OfQueriesThatAreFewerThanKeysIsLegal) {
  for (const MaskForm form : {MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kF2, MaskForm::kF4}) {
    TuningProblem shape = shape_of(form);
    shape.seqlen_q = 128;
    const TuningProblem problem = representative_problem(shape, DensityClass::kLight);
    EXPECT_TRUE(broken_rules(problem).empty()) << to_string(problem);
  }
}

TEST(TuningProblem, HintsItsHeadsTimesItsBatch) {
  const ProblemHint hint = hint_of(representative_problem(shape_of(MaskForm::kC1), DensityClass::kLight));
  EXPECT_EQ(hint.heads, 16);
  EXPECT_EQ(hint.seqlen_q, 2048);
}

TEST(TuningProblem, EveryBrokenRuleIsTold) {
  TuningProblem wrong = shape_of(MaskForm::kC1);
  wrong.batch = 0;
  wrong.num_heads_kv = 3;
  EXPECT_EQ(broken_rules(wrong).size(), 2u);
  wrong = representative_problem(shape_of(MaskForm::kC1), DensityClass::kLight);
  wrong.mask_kind = "documents";
  ASSERT_EQ(broken_rules(wrong).size(), 1u) << "C1 does not hold documents that see both ways";
  wrong.mask_kind = "nonsense";
  ASSERT_EQ(broken_rules(wrong).size(), 1u);
}

}  // namespace
}  // namespace flashmask
