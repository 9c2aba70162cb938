#include <algorithm>
#include <string>
#include <vector>

#include "runtime/tune/tuned_table.h"

namespace flashmask::tune {
namespace {

constexpr TileConfig kNarrow{128, 64, 8, 2};
constexpr TileConfig kOther{64, 64, 4, 2};

TuningKey key_for(int seqlen, DensityClass density = DensityClass::kLight) {
  return {.basis = TuningBasis::kMeasured,
          .gpu = {"GPU A", 80, 108, std::uint64_t{40} << 20, 166912},
          .descriptor = {Pass::kForward, DataType::kBfloat16, 128, 128, MaskForm::kC1, CausalAlignment::kBottomRight,
                         Target{80, false}},
          .bucket = {seqlen, seqlen, 16, density},
          .method = "events",
          .templates = "00ff"};
}

TuningRecord record_for(const TuningKey& key, const TileConfig& config) {
  TuningRecord record;
  record.key = key;
  record.config = config;
  record.default_config = kNarrow;
  record.seconds = 1e-3;
  record.default_seconds = 1.2e-3;
  record.provenance.date = "2026-01-01T00:00:00Z";
  return record;
}

std::optional<TunedChoice> choose(const std::vector<TuningRecord>& records, const TuningKey& key) {
  std::vector<std::string> ignored;
  return choose_tuned(records, key, ignored);
}

TEST(TunedChoice, TheBucketsOwnAnswerIsTaken) {
  const auto choice = choose({record_for(key_for(4096), kNarrow), record_for(key_for(8192), kOther)}, key_for(8192));
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->config, kOther);
  EXPECT_EQ(choice->source, ConfigSource::kTuned);
  EXPECT_NE(choice->reason.find("1.20"), std::string::npos) << choice->reason;
}

TEST(TunedChoice, TheNearestBucketOfTheSameGpuAnswersNext) {
  const auto choice = choose({record_for(key_for(1024), kNarrow), record_for(key_for(32768), kOther)}, key_for(16384));
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->config, kOther);
  EXPECT_EQ(choice->source, ConfigSource::kNearestBucket);
}

TEST(TunedChoice, AnotherGpuAnswersOnlyWhereTheOwnHasNothing) {
  TuningRecord larger = record_for(key_for(8192), kOther), smaller = record_for(key_for(8192), kNarrow);
  larger.key.gpu = {"GPU B", 80, 120, 1, 166912};
  smaller.key.gpu = {"GPU C", 80, 60, 1, 166912};
  auto choice = choose({smaller, larger}, key_for(8192));
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->config, kOther) << "120 SMs are nearer to 108 than 60";
  EXPECT_EQ(choice->source, ConfigSource::kNearestGpu);
  choice = choose({larger, record_for(key_for(1024), kNarrow)}, key_for(8192));
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->config, kNarrow) << "the own GPU's distant bucket comes before another GPU's exact one";
}

TEST(TunedChoice, TheOrderOfRecordsDoesNotMatter) {
  std::vector<TuningRecord> records;
  for (const int seqlen : {1024, 4096, 32768})
    for (const DensityClass density : {DensityClass::kSparse, DensityClass::kDense})
      records.push_back(record_for(key_for(seqlen, density), seqlen == 4096 ? kOther : kNarrow));
  const auto expected = choose(records, key_for(8192, DensityClass::kMedium));
  ASSERT_TRUE(expected);
  std::ranges::reverse(records);
  const auto found = choose(records, key_for(8192, DensityClass::kMedium));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->config, expected->config);
  EXPECT_EQ(found->reason, expected->reason);
}

TEST(TunedChoice, WhatCannotAnswerIsPassedOverWithItsReason) {
  const TuningKey key = key_for(8192);
  struct Case {
    const char* reason;
    void (*spoil)(TuningRecord&);
  };
  const Case cases[] = {{"modelled", [](TuningRecord& record) { record.key.basis = TuningBasis::kModelled; }},
                        {"compute capability", [](TuningRecord& record) { record.key.gpu.compute_capability = 90; }},
                        {"measures by", [](TuningRecord& record) { record.key.method = "a stopwatch"; }},
                        {"templates have changed", [](TuningRecord& record) { record.key.templates = "00fe"; }},
                        {"illegal", [](TuningRecord& record) { record.config.tile_k = 17; }}};
  for (const Case& one : cases) {
    TuningRecord record = record_for(key, kOther);
    one.spoil(record);
    std::vector<std::string> passed_over;
    EXPECT_FALSE(choose_tuned(std::vector{record}, key, passed_over)) << one.reason;
    ASSERT_EQ(passed_over.size(), 1u);
    EXPECT_NE(passed_over[0].find(one.reason), std::string::npos) << passed_over[0];
  }
}

TEST(TunedChoice, AnUnknownHintTakesTheLargestProblem) {
  TuningKey unknown = key_for(0, DensityClass::kUnknown);
  unknown.bucket.heads = 0;
  const auto choice = choose({record_for(key_for(1024), kNarrow), record_for(key_for(32768), kOther)}, unknown);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->config, kOther);
}

TEST(BucketDistance, IsZeroForWhatIsEqualOrUnknown) {
  const TuningBucket bucket{8192, 4096, 16, DensityClass::kLight};
  EXPECT_EQ(bucket_distance(bucket, bucket), 0);
  EXPECT_EQ(bucket_distance(bucket, {}), 0);
  EXPECT_GT(bucket_distance(bucket, {4096, 4096, 16, DensityClass::kLight}), 0);
  EXPECT_EQ(bucket_distance(bucket, {4096, 8192, 32, DensityClass::kDense}),
            bucket_distance({4096, 8192, 32, DensityClass::kDense}, bucket));
}

}  // namespace
}  // namespace flashmask::tune
