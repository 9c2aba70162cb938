#include "flashmask/tuner.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "tests/tune/temporary_folder.h"

namespace flashmask {
namespace {

using tune_tests::TemporaryFolder;

const KernelDescriptor kDescriptor{
    Pass::kForward, DataType::kBfloat16, 64, 64, MaskForm::kC1, CausalAlignment::kBottomRight, Target{80, false}};

TuningProblem problem() {
  return representative_problem(
      {.descriptor = kDescriptor, .num_heads_q = 16, .num_heads_kv = 16, .seqlen_q = 8192, .seqlen_k = 8192},
      DensityClass::kLight);
}

/// A database, a runtime whose kernels are kept for all tests of this program, and a worker that does what it is told.
class TunerTest : public testing::Test {
 protected:
  TunerTest() {
    policy_.cache_directory = FLASHMASK_TUNE_TEST_CACHE;
    policy_.shipped_tuning = false;
    members_ = members_for(tile_space(kDescriptor), TuningEffort::kQuick);
  }

  TuningOptions options(const std::vector<std::string>& words = {}) const {
    TuningOptions options;
    options.effort = TuningEffort::kQuick;
    options.worker = {FLASHMASK_SCRIPTED_WORKER};
    options.worker.insert(options.worker.end(), words.begin(), words.end());
    return options;
  }

  TuningResult tune(const TuningOptions& options) {
    TuningDatabase database = TuningDatabase::open(folder_.path("tuning.db"));
    Runtime runtime(open_emulated_device({.target = kDescriptor.target}), policy_);
    return Tuner(runtime, database, options).tune(problem());
  }

  std::string word(std::size_t member) const { return to_word(members_.at(member).config); }
  static const TuningTrial& trial_of(const TuningResult& result, const TileConfig& config) {
    const auto found = std::ranges::find(result.trials, config, &TuningTrial::config);
    if (found == result.trials.end()) throw std::runtime_error(to_string(config) + " was not tried");
    return *found;
  }

  TemporaryFolder folder_;
  Policy policy_;
  std::vector<SpaceMember> members_;
};

TEST_F(TunerTest, TheFastestConfigurationIsFoundByHowMuch) {
  const TuningResult result = tune(options({"time=0.9:" + word(3), "time=1.1:" + word(5)}));
  ASSERT_EQ(result.end, TuningResult::End::kDecided);
  ASSERT_TRUE(result.record);
  EXPECT_EQ(result.record->config, members_[3].config);
  EXPECT_EQ(result.record->default_config, members_[0].config);
  EXPECT_NEAR(result.record->default_seconds / result.record->seconds, 1.2 / 0.9, 1e-9);
  EXPECT_FALSE(result.record->reason.empty());
  EXPECT_EQ(result.record->key.basis, TuningBasis::kModelled);
  EXPECT_EQ(result.record->provenance.toolchain.substr(0, 5), "nvrtc");
  EXPECT_EQ(result.counts.tried, members_.size());
  EXPECT_EQ(result.trials.size(), members_.size());
}

TEST_F(TunerTest, EqualConfigurationsLeaveTheDefault) {
  const TuningResult result = tune(options());
  ASSERT_TRUE(result.record);
  EXPECT_EQ(result.record->config, members_[0].config);
}

TEST_F(TunerTest, AnAnswerIsFoundAgainAndNothingIsTimed) {
  const std::string counted = folder_.path("count");
  tune(options({"time=0.9:" + word(3)}));
  const TuningResult again = tune(options({"count=" + counted}));
  EXPECT_EQ(again.end, TuningResult::End::kFound);
  ASSERT_TRUE(again.record);
  EXPECT_EQ(again.record->config, members_[3].config);
  EXPECT_FALSE(std::filesystem::exists(counted));
}

TEST_F(TunerTest, WhatCrashesHangsBreaksOrComputesGarbageIsRecordedAndTuningGoesOn) {
  TuningOptions faulty = options({"crash=" + word(1), "hang=" + word(2), "garbage=" + word(3), "break=" + word(4),
                                  "exit=" + word(5), "time=0.9:" + word(6)});
  faulty.answer_limit = std::chrono::milliseconds(500);
  const TuningResult result = tune(faulty);
  ASSERT_TRUE(result.record);
  EXPECT_EQ(result.record->config, members_[6].config);
  const std::pair<std::size_t, TrialOutcome> expected[] = {{1, TrialOutcome::kCrashed},
                                                           {2, TrialOutcome::kHung},
                                                           {3, TrialOutcome::kWrong},
                                                           {4, TrialOutcome::kCrashed},
                                                           {5, TrialOutcome::kCrashed}};
  for (const auto& [member, outcome] : expected) {
    const TuningTrial& trial = trial_of(result, members_[member].config);
    if (trial.outcome == TrialOutcome::kSpills) continue;  // the compiler had refused it before
    EXPECT_EQ(trial.outcome, outcome) << member;
    EXPECT_FALSE(trial.reason.empty());
  }
}

TEST_F(TunerTest, ADefaultThatFailsEndsTheProblemWithItsReason) {
  try {
    tune(options({"crash=" + word(0)}));
    FAIL() << "nothing can be compared with it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("signal 9"), std::string::npos) << error.what();
  }
}

TEST_F(TunerTest, AStoppedTunerGoesOnWithoutRepeatingATrial) {
  const std::string counted = folder_.path("count");
  TuningOptions stopping = options({"count=" + counted});
  int trials = 0;
  stopping.progress = [&](const TuningProgress&) { ++trials; };
  stopping.stop = [&] { return trials >= 4; };
  EXPECT_EQ(tune(stopping).end, TuningResult::End::kStopped);
  const TuningResult result = tune(options({"count=" + counted}));
  EXPECT_EQ(result.end, TuningResult::End::kDecided);
  EXPECT_EQ(result.counts.repeated, 4u);
  std::multiset<std::string> checks;
  std::ifstream file(counted);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("check ")) checks.insert(line);
  for (const std::string& line : checks) EXPECT_EQ(checks.count(line), 1u) << line;
}

TEST_F(TunerTest, ABudgetEndsItAndKeepsWhatWasTried) {
  TuningOptions hurried = options({"slow=200"});
  hurried.budget = std::chrono::duration<double>(0.5);
  const TuningResult result = tune(hurried);
  EXPECT_EQ(result.end, TuningResult::End::kStopped);
  EXPECT_FALSE(result.record);
  EXPECT_LT(result.trials.size(), members_.size());
  EXPECT_GE(tune(options()).counts.repeated, result.trials.size());
}

TEST_F(TunerTest, AReplayAnswersFromTheDatabaseAlone) {
  TuningOptions replay = options();
  replay.replay_only = true;
  EXPECT_EQ(tune(replay).end, TuningResult::End::kUnanswered);
  tune(options());
  EXPECT_EQ(tune(replay).end, TuningResult::End::kFound);
}

TEST_F(TunerTest, MeasuredAnewAnAnswerStaysUnlessAnotherIsTrulyFaster) {
  tune(options({"time=0.9:" + word(3)}));
  TuningOptions again = options({"time=0.9:" + word(3), "time=0.893:" + word(1)});
  again.again = true;
  EXPECT_EQ(tune(again).record->config, members_[3].config) << "1 % is within the band";
  again = options({"time=0.9:" + word(3), "time=0.7:" + word(1)});
  again.again = true;
  const TuningResult result = tune(again);
  ASSERT_EQ(trial_of(result, members_[1].config).outcome, TrialOutcome::kTimed);
  EXPECT_EQ(result.record->config, members_[1].config);
}

TEST_F(TunerTest, WrongOptionsAreRefused) {
  TuningDatabase database = TuningDatabase::open(folder_.path("tuning.db"));
  Runtime runtime(open_emulated_device({.target = kDescriptor.target}), policy_), without_device(nullptr, policy_);
  TuningOptions no_time = options(), fewer_jobs = options();
  no_time.budget = std::chrono::duration<double>(0);
  fewer_jobs.jobs = -1;
  EXPECT_THROW(Tuner(runtime, database, no_time), Error);
  EXPECT_THROW(Tuner(runtime, database, fewer_jobs), Error);
  EXPECT_THROW(Tuner(without_device, database, options()), Error);
  Tuner tuner(runtime, database, options());
  TuningProblem wrong = problem();
  wrong.num_heads_kv = 3;
  EXPECT_THROW(tuner.tune(wrong), Error);
  wrong = problem();
  wrong.mask_kind = "no such mask";
  EXPECT_THROW(tuner.tune(wrong), Error);
}

}  // namespace
}  // namespace flashmask
