// What the report is made of: the order of trials, texts, numbers, and the problem that a record names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tuning_report/sample_report.h"
#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/group.h"
#include "tools/tuning_report/markup.h"
#include "tools/tuning_report/plot.h"
#include "tools/tuning_report/problem_scores.h"
#include "tools/tuning_report/ranking.h"
#include "tools/tuning_report/roofline.h"

namespace flashmask::tuning_report {
namespace {

using test::trial_of;
using ::testing::ElementsAre;

constexpr TileConfig kDefault{128, 128, 8, 2}, kFast{128, 64, 8, 2}, kSlow{64, 64, 4, 2}, kBroken{64, 32, 4, 2};

TEST(Ranking, OrdersBySpeedUpAndPutsWhatFailedBehind) {
  ReportProblem problem;
  problem.default_config = kDefault;
  problem.trials = {trial_of(kBroken, TrialOutcome::kHung, 0), trial_of(kDefault, TrialOutcome::kTimed, 1.0),
                    trial_of(kSlow, TrialOutcome::kSlow, 2.0), trial_of(kFast, TrialOutcome::kTimed, 1.5)};
  // The rounds tell another order than the coarse times, and they count.
  problem.rounds = {{"a", 0, {{kDefault, 1.0}, {kFast, 0.5}}}, {"a", 0, {{kDefault, 2.0}, {kFast, 1.0}}}};
  const std::vector<RankedTrial> ranked = rank_trials(problem);
  EXPECT_EQ(ranked[0].trial.config, kFast);
  EXPECT_DOUBLE_EQ(*ranked[0].speedup, 2.0);
  EXPECT_TRUE(ranked[1].is_default);
  EXPECT_DOUBLE_EQ(*ranked[2].speedup, 0.5);
  EXPECT_FALSE(ranked[3].was_timed());
}

TEST(Ranking, OneThatFailedInALaterRoundHasNoPlace) {
  ReportProblem problem;
  problem.default_config = kDefault;
  problem.trials = {trial_of(kFast, TrialOutcome::kCrashed, 0.5), trial_of(kDefault, TrialOutcome::kTimed, 1.0)};
  problem.rounds = {{"a", 0, {{kDefault, 1.0}, {kFast, 0.5}}}};
  EXPECT_TRUE(rank_trials(problem)[0].is_default);
}

TEST(Group, TheMeanIsGeometricAndCountsWhatStays) {
  ReportProblem faster, same, open;
  faster.key = same.key = open.key = test::sample_key();
  faster.record = test::record_of(faster.key, kFast, kDefault, 1.0, 4.0);
  same.record = test::record_of(same.key, kDefault, kDefault, 1.0, 1.0);
  const ReportData data{"", "", "", {faster, same, open}};
  const std::vector<Group> groups = groups_of(data);
  ASSERT_EQ(groups.size(), 1u);
  const GroupSummary summary = summary_of(groups[0]);
  EXPECT_DOUBLE_EQ(summary.geometric_mean, 2.0);
  EXPECT_EQ(summary.decided, 2u);
  EXPECT_EQ(summary.default_stays, 1u);
}

TEST(Markup, KeepsTextAndNothingElse) {
  EXPECT_EQ(escaped("a<b>\"c'&\t\n"), "a&lt;b&gt;&quot;c&#39;&amp; \n");
  EXPECT_EQ(escaped("µ × 世 😀"), "µ × 世 😀");
  // A control, a stray byte, an overlong slash, a surrogate, a character that turns text, and one cut off.
  for (const char* broken : {"\x7f", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x80\xae", "\xe4\xb8"})
    EXPECT_THAT(escaped(broken), ::testing::MatchesRegex("(\xEF\xBF\xBD)+")) << broken;
  EXPECT_EQ(slug("../a b//c"), "..-a-b-c");
}

TEST(Figures, HaveFourDigitsAndAUnit) {
  EXPECT_EQ(time_text(943.86e-6), "943.9 µs");
  EXPECT_EQ(time_text(1.0049e-3), "1.005 ms");
  EXPECT_EQ(time_text(12.5), "12.50 s");
  EXPECT_EQ(time_text(0), "-");
  EXPECT_EQ(speedup_text(1.0836), "1.084×");
  EXPECT_EQ(percent_text(0.02), "2.0 %");
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_THAT(ticks(0.97, 1.09, 6), ElementsAre(::testing::DoubleEq(0.98), 1.0, 1.02, 1.04, 1.06, 1.08));
  EXPECT_EQ(ticks(1, 1, 5).size(), 1u);
  EXPECT_EQ(ticks(0, 1 / 0.0, 5).size(), 1u);
}

TEST(ProblemScores, AreThoseOfTheProblemThatTheTextNames) {
  const KernelDescriptor causal{.mask_form = MaskForm::kCausal, .target = {90, true}};
  EXPECT_DOUBLE_EQ(*visible_scores(causal, "batch 2, 4 heads of 2, 8x8, causal"), 2 * 4 * 36.0);
  const KernelDescriptor c1{.mask_form = MaskForm::kC1, .target = {90, true}};
  EXPECT_DOUBLE_EQ(*visible_scores(c1, "batch 1, 1 heads, 8x8, causal-documents document-lengths=4,4"), 20.0);
}

TEST(ProblemScores, OfAnyOtherTextAreUnknown) {
  const KernelDescriptor causal{.mask_form = MaskForm::kCausal, .target = {90, true}};
  for (const char* text : {"", "batch 1", "batch 1, 4 heads, 8x8", "batch 1, 4 heads, 8x8, ",
                           "batch 0, 4 heads, 8x8, causal", "batch 1, 4 heads, 8x2000000000, causal",
                           "batch 1, 4 heads, 8x8, no-such-mask", "batch 1, 4 heads, 8x8, causal left", "a mask file"})
    EXPECT_FALSE(visible_scores(causal, text)) << text;
}

TEST(Roofline, CountsProductsAndWhatTilesBringIn) {
  KernelDescriptor descriptor;  // d = 128
  EXPECT_DOUBLE_EQ(flops_of(descriptor, 10), 10 * 4 * 128.0);
  EXPECT_DOUBLE_EQ(flops_per_byte(descriptor, kDefault), 128.0);
  descriptor.pass = Pass::kBackward;
  EXPECT_DOUBLE_EQ(flops_of(descriptor, 10), 2.5 * 10 * 4 * 128.0);
  EXPECT_DOUBLE_EQ(flops_per_byte(descriptor, kDefault), 128 * 10 * 128.0 / (8 * 128.0));
  EXPECT_FALSE(arithmetic_ceiling({"a GPU", 120, 188, 0, 0}, 2000)) << "its rate is not known here";
  EXPECT_FALSE(arithmetic_ceiling({"H100", 90, 132, 0, 0}, 0)) << "nor is its clock";
}

}  // namespace
}  // namespace flashmask::tuning_report
