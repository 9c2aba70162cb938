#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/manifest.h"
#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "runtime/tune/tuning_identity.h"
#include "tests/tune/temporary_folder.h"

namespace flashmask {
namespace {

using tune_tests::TemporaryFolder;

const KernelDescriptor kDescriptor{
    Pass::kForward, DataType::kBfloat16, 64, 64, MaskForm::kC1, CausalAlignment::kBottomRight, Target{80, false}};
constexpr ProblemHint kHint{.seqlen_q = 8000, .seqlen_k = 8000, .heads = 16, .density = 0.2};
constexpr TileConfig kTuned{64, 64, 4, 2};

/// A runtime on an emulated device that looks answers up in a file of this test.
class LookupTest : public testing::Test {
 protected:
  LookupTest() {
    policy_.cache_directory = FLASHMASK_TUNE_TEST_CACHE;
    policy_.shipped_tuning = false;
    policy_.tuning_path = folder_.path("tuning.db");
    policy_.log = [this](LogLevel, const std::string& message) { messages_.push_back(message); };
  }

  std::shared_ptr<Device> device() const { return open_emulated_device({.target = kDescriptor.target}); }

  TuningRecord answer() const {
    TuningRecord record;
    record.key = tune::tuning_key(device()->properties(), kDescriptor, bucket_of(kHint));
    record.config = kTuned;
    record.default_config = default_tile_config(kDescriptor);
    record.seconds = 1e-3;
    record.default_seconds = 1.5e-3;
    record.rounds = 7;
    record.provenance.date = "2026-01-01T00:00:00Z";
    return record;
  }

  void keep(const TuningRecord& record) { TuningDatabase::open(policy_.tuning_path).save(record); }

  TileConfig requested(const ProblemHint& hint = kHint) {
    Runtime runtime(device(), policy_);
    return runtime.request(kDescriptor, {.hint = hint, .config = {}})->config();
  }

  Explanation explained(const ProblemHint& hint = kHint) {
    return Runtime(device(), policy_).explain(kDescriptor, {.hint = hint, .config = {}});
  }

  TemporaryFolder folder_;
  Policy policy_;
  std::vector<std::string> messages_;
};

TEST_F(LookupTest, ARequestTakesTheAnswerOfItsBucket) {
  keep(answer());
  EXPECT_EQ(requested(), kTuned);
  const Explanation told = explained();
  EXPECT_EQ(told.config, kTuned);
  EXPECT_EQ(told.config_source, ConfigSource::kTuned);
  EXPECT_NE(told.config_reason.find("1.50 times"), std::string::npos) << told.config_reason;
}

TEST_F(LookupTest, AnAnswerThatIsFoundAfterTheRuntimeWasMadeIsTakenToo) {
  for (const bool is_empty : {false, true}) {
    std::filesystem::remove(policy_.tuning_path);
    if (is_empty) std::ofstream file(policy_.tuning_path);
    Runtime runtime(device(), policy_);
    keep(answer());
    EXPECT_EQ(runtime.request(kDescriptor, {.hint = kHint, .config = {}})->config(), kTuned);
  }
  EXPECT_TRUE(messages_.empty());
}

TEST_F(LookupTest, AnAnswerThatIsTheDefaultIsRecordedAndToldAsOneKernel) {
  TuningRecord usual = answer();
  usual.config = usual.default_config;
  keep(usual);
  policy_.cache_directory = folder_.path("cache");
  policy_.no_jit = true;
  policy_.record_path = folder_.path("recorded.toml");
  EXPECT_THROW(requested(), Error);
  EXPECT_TRUE(messages_.empty());
  EXPECT_EQ(read_manifest(policy_.record_path).requests.size(), 1u);
}

TEST_F(LookupTest, AConfigurationThatIsAskedForIsNotTuned) {
  keep(answer());
  const TileConfig own{64, 32, 4, 2};
  Runtime runtime(device(), policy_);
  EXPECT_EQ(runtime.request(kDescriptor, {.hint = kHint, .config = own})->config(), own);
  EXPECT_EQ(runtime.explain(kDescriptor, {.hint = kHint, .config = own}).config_source, ConfigSource::kRequested);
}

TEST_F(LookupTest, WithoutAnAnswerTheDefaultIsTaken) {
  EXPECT_EQ(requested(), default_tile_config(kDescriptor));
  EXPECT_EQ(explained().config_source, ConfigSource::kDefault);
}

TEST_F(LookupTest, AnotherBucketTakesTheNearestAnswer) {
  keep(answer());
  const ProblemHint longer{.seqlen_q = 32000, .seqlen_k = 32000, .heads = 64, .density = 0.01};
  EXPECT_EQ(requested(longer), kTuned);
  EXPECT_EQ(explained(longer).config_source, ConfigSource::kNearestBucket);
}

TEST_F(LookupTest, TwoBucketsMayHaveTwoKernelsInOneRuntime) {
  TuningRecord other = answer();
  const ProblemHint shorter{.seqlen_q = 512, .seqlen_k = 512, .heads = 16, .density = 0.2};
  other.key.bucket = bucket_of(shorter);
  other.config = {64, 32, 4, 2};
  keep(answer());
  keep(other);
  Runtime runtime(device(), policy_);
  EXPECT_EQ(runtime.request(kDescriptor, {.hint = kHint, .config = {}})->config(), kTuned);
  EXPECT_EQ(runtime.request(kDescriptor, {.hint = shorter, .config = {}})->config(), other.config);
  EXPECT_EQ(runtime.request(kDescriptor, {.hint = kHint, .config = {}})->config(), kTuned);
}

TEST_F(LookupTest, ASweepInsideOneBucketLoadsOneKernel) {
  keep(answer());
  Runtime runtime(device(), policy_);
  const auto first = runtime.request(kDescriptor, {.hint = kHint, .config = {}});
  for (int seqlen = 4097; seqlen <= 8192; seqlen += 315) {
    const ProblemHint hint{.seqlen_q = seqlen, .seqlen_k = seqlen, .heads = 16, .density = 0.2};
    EXPECT_EQ(runtime.request(kDescriptor, {.hint = hint, .config = {}}), first);
  }
  EXPECT_LE(runtime.counters().compiles + runtime.counters().disk_hits, 1u);
}

TEST_F(LookupTest, AnAnswerForAGpuIsNotTakenOnTheEmulator) {
  TuningRecord measured = answer();
  measured.key.basis = TuningBasis::kMeasured;
  keep(measured);
  EXPECT_EQ(requested(), default_tile_config(kDescriptor));
  ASSERT_EQ(explained().tuning_passed_over.size(), 1u);
}

TEST_F(LookupTest, AStaleAnswerIsPassedOverWithItsReason) {
  TuningRecord stale = answer();
  stale.key.templates = std::string(64, '0');
  keep(stale);
  EXPECT_EQ(requested(), default_tile_config(kDescriptor));
  const Explanation told = explained();
  ASSERT_EQ(told.tuning_passed_over.size(), 1u);
  EXPECT_NE(told.tuning_passed_over[0].find("templates"), std::string::npos);
}

TEST_F(LookupTest, AnExportIsReadAsItIs) {
  policy_.tuning_path = folder_.path("answers.json");
  std::ofstream(policy_.tuning_path) << tuning_json({answer()});
  EXPECT_EQ(requested(), kTuned);
}

TEST_F(LookupTest, AFileThatIsNoDatabaseIsOneWarningAndStays) {
  std::ofstream(policy_.tuning_path) << "notes of mine\n";
  Runtime runtime(device(), policy_);
  runtime.request(kDescriptor, {.hint = kHint, .config = {}});
  runtime.request(kDescriptor, {});
  EXPECT_EQ(messages_.size(), 1u);
  std::ifstream file(policy_.tuning_path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "notes of mine");
}

TEST_F(LookupTest, ANamedFileThatIsNotThereIsOneWarningAndAnUnnamedOneIsNone) {
  requested();
  EXPECT_EQ(messages_.size(), 1u);
  messages_.clear();
  policy_.tuning_is_optional = true;
  requested();
  EXPECT_TRUE(messages_.empty());
  EXPECT_FALSE(std::filesystem::exists(policy_.tuning_path)) << "a request makes no database";
}

TEST_F(LookupTest, WhatIsRecordedNamesTheConfigurationThatWasTaken) {
  keep(answer());
  policy_.record_path = folder_.path("recorded.toml");
  requested();
  const Manifest manifest = read_manifest(policy_.record_path);
  ASSERT_EQ(manifest.requests.size(), 1u);
  EXPECT_EQ(manifest.requests[0].config, kTuned);
}

TEST_F(LookupTest, AnIllegalDescriptorIsRefusedAsWithoutTuning) {
  keep(answer());
  KernelDescriptor illegal = kDescriptor;
  illegal.head_dim_qk = 100;
  Runtime runtime(device(), policy_);
  EXPECT_THROW(runtime.request(illegal, {.hint = kHint, .config = {}}), Error);
}

TEST_F(LookupTest, WhereNothingMayBeCompiledTheDefaultServesInPlaceOfATunedKernelThatIsNotThere) {
  keep(answer());
  policy_.cache_directory = folder_.path("cache");
  Runtime(nullptr, policy_).compile(kDescriptor);
  policy_.no_jit = true;
  EXPECT_EQ(requested(), default_tile_config(kDescriptor));
  ASSERT_EQ(messages_.size(), 1u);
  EXPECT_NE(messages_[0].find(to_string(kTuned)), std::string::npos) << messages_[0];
  const Explanation told = explained();
  EXPECT_EQ(told.config, default_tile_config(kDescriptor));
  EXPECT_EQ(told.config_source, ConfigSource::kDefault);
  EXPECT_EQ(told.origin, KernelOrigin::kDisk);
  ASSERT_EQ(told.tuning_passed_over.size(), 1u);
}

TEST_F(LookupTest, WithoutACompilerTheDefaultServesInPlaceOfATunedKernelThatIsNotThere) {
  keep(answer());
  policy_.cache_directory = folder_.path("cache");
  Runtime(nullptr, policy_).compile(kDescriptor);
  policy_.nvrtc_path = "/nonexistent/libnvrtc.so";
  Runtime runtime(device(), policy_);
  for (int again = 0; again < 3; ++again)
    EXPECT_EQ(runtime.request(kDescriptor, {.hint = kHint, .config = {}})->config(), default_tile_config(kDescriptor));
  EXPECT_EQ(messages_.size(), 1u) << "of three requests";
  EXPECT_EQ(runtime.counters().requests, 3u);
  EXPECT_EQ(runtime.counters().memory_hits, 2u);
}

TEST_F(LookupTest, WhereNeitherKernelIsThereTheErrorNamesTheTunedOne) {
  keep(answer());
  policy_.cache_directory = folder_.path("cache");
  policy_.no_jit = true;
  try {
    requested();
    FAIL() << "nothing is there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotCached);
    EXPECT_NE(std::string(error.what()).find(to_string(kTuned)), std::string::npos) << error.what();
  }
}

TEST_F(LookupTest, WhatIsWorthPrecompilingIsEveryConfigurationOfCurrentAnswersOnce) {
  TuningRecord elsewhere = answer(), again = answer(), stale = answer(), other = answer();
  elsewhere.key.gpu.name = "another GPU";
  elsewhere.config = {64, 32, 4, 2};
  again.key.bucket.heads *= 2;
  stale.key.templates = std::string(64, '0');
  stale.config = {128, 32, 4, 2};
  other.key.descriptor.mask_form = MaskForm::kC2;
  for (const TuningRecord& record : {answer(), elsewhere, again, stale, other}) keep(record);
  const Runtime runtime(nullptr, policy_);
  EXPECT_EQ(runtime.tuned_configs(kDescriptor), (std::vector{elsewhere.config, kTuned}));
  KernelDescriptor illegal = kDescriptor;
  illegal.head_dim_qk = 100;
  EXPECT_TRUE(runtime.tuned_configs(illegal).empty());
  policy_.tuning_path.clear();
  EXPECT_TRUE(Runtime(nullptr, policy_).tuned_configs(kDescriptor).empty());
}

TEST_F(LookupTest, WithoutADeviceNothingIsLookedUp) {
  keep(answer());
  EXPECT_EQ(Runtime(nullptr, policy_).explain(kDescriptor, {.hint = kHint, .config = {}}).config_source,
            ConfigSource::kDefault);
}

}  // namespace
}  // namespace flashmask
