// Two sets of answers, side by side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tuning_report/sample_report.h"
#include "tools/tuning_report/diff.h"
#include "tools/tuning_report/diff_report.h"

namespace flashmask::tuning_report {
namespace {

using test::record_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr TileConfig kDefault{128, 128, 8, 2}, kOne{128, 64, 8, 2}, kOther{192, 80, 12, 2};

TuningKey key_of(int seqlen) {
  TuningKey key = test::sample_key();
  key.bucket.seqlen_q = key.bucket.seqlen_k = seqlen;
  return key;
}

Agreement agreement_of(const TuningRecord& a, const TuningRecord& b) {
  return diff_records("a", {a}, "b", {b}).entries.at(0).agreement;
}

/// One key of each kind.
TuningDiff sample_diff() {
  return diff_records(
      "monday.db",
      {record_of(key_of(1024), kOne, kDefault, 0.9, 1), record_of(key_of(2048), kOne, kDefault, 0.9, 1),
       record_of(key_of(4096), kOne, kDefault, 0.9, 1), record_of(key_of(8192), kOne, kDefault, 0.9, 1)},
      "tuesday.json",
      {record_of(key_of(16384), kOther, kDefault, 0.9, 1), record_of(key_of(4096), kOther, kDefault, 0.8, 1),
       record_of(key_of(2048), kOther, kDefault, 1.8, 2.02), record_of(key_of(1024), kOne, kDefault, 0.5, 1)});
}

TEST(TuningDiff, PutsEachKeyIntoOneClass) {
  const TuningDiff diff = sample_diff();
  for (std::size_t i = 0; i < kAgreements; ++i) EXPECT_EQ(diff.count(static_cast<Agreement>(i)), 1u) << i;
  EXPECT_EQ(diff.in_both(), 3u);
  EXPECT_DOUBLE_EQ(*diff.agreement(), 2.0 / 3);
}

TEST(TuningDiff, TheWiderBandDecides) {
  TuningRecord a = record_of(key_of(1024), kOne, kDefault, 1 / 1.10, 1),
               b = record_of(key_of(1024), kOther, kDefault, 1 / 1.14, 1);
  EXPECT_EQ(agreement_of(a, b), Agreement::kBeyondBand);
  b.band = 0.05;
  EXPECT_EQ(agreement_of(a, b), Agreement::kWithinBand);
  std::swap(a, b);
  EXPECT_EQ(agreement_of(a, b), Agreement::kWithinBand);
}

TEST(TuningDiff, SpeedUpsAreComparedSoThatAnotherClockDoesNotCount) {
  const TuningRecord slow = record_of(key_of(1024), kOne, kDefault, 1.8, 2),
                     fast = record_of(key_of(1024), kOther, kDefault, 0.9, 1);
  EXPECT_EQ(agreement_of(slow, fast), Agreement::kWithinBand);
}

TEST(TuningDiff, WhereTheDefaultsDifferTheTimesAreCompared) {
  const TuningRecord a = record_of(key_of(1024), kOne, kDefault, 0.9, 1),
                     b = record_of(key_of(1024), kOther, kOther, 0.9, 0.9);
  EXPECT_EQ(agreement_of(a, b), Agreement::kWithinBand) << "speed-ups of 1.11 and 1 over two defaults, and equal times";
}

TEST(TuningDiff, ATimeThatIsNoneAgreesWithNothing) {
  EXPECT_EQ(agreement_of(record_of(key_of(1), kOne, kDefault, 0, 1), record_of(key_of(1), kOther, kDefault, 0.9, 1)),
            Agreement::kBeyondBand);
}

TEST(TuningDiff, ProvenanceDoesNotCountAndTheRestOfTheKeyDoes) {
  const TuningRecord a = record_of(key_of(1024), kOne, kDefault, 0.9, 1);
  TuningRecord b = a;
  b.provenance = {};
  EXPECT_EQ(agreement_of(a, b), Agreement::kSameWinner);
  b.key.basis = TuningBasis::kModelled;
  EXPECT_EQ(diff_records("a", {a}, "b", {b}).in_both(), 0u);
}

TEST(TuningDiff, OfSeveralAnswersForAKeyTheLatestCounts) {
  TuningRecord early = record_of(key_of(1024), kOne, kDefault, 0.9, 1),
               late = record_of(key_of(1024), kOther, kDefault, 0.5, 1);
  early.provenance.date = "2026-01-01T00:00:00Z";
  for (const auto& records : {std::vector{early, late}, std::vector{late, early}})
    EXPECT_EQ(diff_records("a", records, "b", {late}).entries.at(0).agreement, Agreement::kSameWinner);
}

TEST(DiffText, CountsAndListsWhatDiffersTheWorstFirst) {
  const std::string text = diff_text(sample_diff());
  EXPECT_THAT(text, AllOf(HasSubstr("A                monday.db: 4 answers\n"),
                          HasSubstr("B                tuesday.json: 4 answers\n"), HasSubstr("beyond the band  1\n"),
                          HasSubstr("agreement        66.7 % of 3 in both\n"), HasSubstr("16384x16384"),
                          HasSubstr("1.250x"), Not(HasSubstr("1024x1024"))));
  EXPECT_LT(text.find(", 4096x4096"), text.find(", 2048x2048"));
  EXPECT_THAT(diff_text(sample_diff(), true), HasSubstr("1024x1024"));
}

TEST(DiffText, OfTheSameAnswersHasNoTable) {
  const std::vector<TuningRecord> records = {record_of(key_of(1024), kOne, kDefault, 0.9, 1)};
  EXPECT_EQ(diff_text(diff_records("a", records, "b", records)),
            "A                a: 1 answer\nB                b: 1 answer\nsame winner      1\nwithin the band  0\n"
            "beyond the band  0\nonly in A        0\nonly in B        0\nagreement        100.0 % of 1 in both\n");
  EXPECT_THAT(diff_text(diff_records("a", {}, "b", {})), HasSubstr("nothing is in both"));
}

TEST(DiffJson, HasCountsAndBothAnswersOfEachKey) {
  const nlohmann::ordered_json json = diff_json(sample_diff());
  EXPECT_EQ(json["counts"]["within_the_band"], 1);
  EXPECT_EQ(json["counts"]["only_in_B"], 1);
  EXPECT_EQ(json["in_both"], 3);
  ASSERT_EQ(json["entries"].size(), 5u);
  const auto& beyond = json["entries"][2];
  EXPECT_EQ(beyond["agreement"], "beyond the band");
  EXPECT_EQ(beyond["a"]["config"], "128x64 w8 s2");
  EXPECT_NEAR(beyond["distance"].get<double>(), 0.125, 1e-12);
  EXPECT_TRUE(json["entries"][3]["b"].is_null());
  EXPECT_TRUE(diff_json(diff_records("a", {}, "b", {}))["agreement"].is_null());
}

}  // namespace
}  // namespace flashmask::tuning_report
