// From a database to what a report shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "flashmask/tuning_database.h"
#include "tests/tuning_report/sample_report.h"
#include "tools/tuning_report/collect_report.h"

namespace flashmask::tuning_report {
namespace {

/// A database of its own in a folder that goes with it.
class CollectReport : public testing::Test {
 protected:
  CollectReport() {
    std::filesystem::create_directories(folder_);
    database_.emplace(TuningDatabase::open((folder_ / "tuning.db").string()));
  }
  ~CollectReport() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("collect_report_" + std::to_string(::getpid()));
  std::optional<TuningDatabase> database_;
};

TEST_F(CollectReport, OfAnEmptyDatabaseIsEmpty) {
  const ReportData data = collect_report(*database_);
  EXPECT_EQ(data.source, database_->path());
  EXPECT_FALSE(data.library.empty());
  EXPECT_TRUE(data.problems.empty());
}

TEST_F(CollectReport, HoldsTrialsRoundsAnswerAndTheRestOfTheSpace) {
  const TuningKey key = test::sample_key();
  const TileSpace space = tile_space(key.descriptor);
  ASSERT_GT(space.members.size(), 2u);
  ASSERT_FALSE(space.pruned.empty());
  const TileConfig chosen = space.members[1].config, by_default = space.members[0].config,
                   pruned_now = space.pruned[0].config;
  const TuningRecord record = test::record_of(key, chosen, by_default, 0.9e-3, 1e-3);
  database_->save(key, test::trial_of(by_default, TrialOutcome::kTimed, 1e-3), record.provenance);
  database_->save(key, test::trial_of(chosen, TrialOutcome::kTimed, 0.9e-3), record.provenance);
  database_->save(key, test::trial_of(pruned_now, TrialOutcome::kSpills, 0, "of another version"), record.provenance);
  database_->add_round(key, {"one", 1700, {{by_default, 1e-3}, {chosen, 0.9e-3}}});
  database_->save(record);

  const ReportData data = collect_report(*database_);
  ASSERT_EQ(data.problems.size(), 1u);
  const ReportProblem& problem = data.problems[0];
  EXPECT_EQ(problem.trials.size(), 3u);
  EXPECT_EQ(problem.rounds.size(), 1u);
  EXPECT_EQ(problem.record, record);
  EXPECT_EQ(problem.combinations, space.combinations);
  EXPECT_EQ(problem.pruned.size(), space.pruned.size() - 1) << "what was tried is a trial, whatever the model says now";
  EXPECT_EQ(problem.untried.size(), space.members.size() - 2);
  // "batch 1, 32 heads, 8192x8192, causal": half of the scores, and half of the diagonal.
  EXPECT_DOUBLE_EQ(problem.visible_scores.value(), 32 * 8192.0 * 8193 / 2);
}

TEST_F(CollectReport, AProblemWithoutAnAnswerIsOpen) {
  const TuningKey key = test::sample_key();
  const TileConfig by_default = tile_space(key.descriptor).members[0].config;
  database_->save(key, test::trial_of(by_default, TrialOutcome::kTimed, 1e-3), {});
  const ReportData data = collect_report(*database_);
  ASSERT_EQ(data.problems.size(), 1u);
  EXPECT_FALSE(data.problems[0].record);
  EXPECT_EQ(data.problems[0].default_config, by_default);
  EXPECT_FALSE(data.problems[0].visible_scores);
}

}  // namespace
}  // namespace flashmask::tuning_report
