// The built command tunes on the emulator's cost model: a whole run, one that is killed, two at once, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/tuning_database.h"
#include "tests/tools/child_command.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

class CommandTuneTest : public ::testing::Test {
 protected:
  /// Descriptors whose kernels other tests of this program's cache do not have: each test compiles its own few.
  static Words tune(const Words& more = {}) {
    Words words = {"tune",     "--device", "emulator", "--dtype", "bf16",      "--head-dim", "64",
                   "--effort", "quick",    "--seqlen", "2048",    "--density", "light"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Environment environment() const {
    return {{"FLASHMASK_TUNING", database_}, {"FLASHMASK_CACHE_DIR", FLASHMASK_TUNE_TEST_CACHE}};
  }
  Outcome run(const Words& words) const { return run_command_line(directory_, words, environment()); }
  std::size_t trials_so_far() const {
    std::size_t trials = 0;
    try {
      const TuningDatabase database = TuningDatabase::open_read_only(database_);
      for (const TuningKey& key : database.keys()) trials += database.trials(key).size();
    } catch (const Error&) {
      // It is not there yet, or a killed writer's journal waits for the next one who writes.
    }
    return trials;
  }
  json told(Words words) const {
    words.push_back("--json");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out);
  }

  TemporaryDirectory directory_;
  std::string database_ = directory_ / "tuning.db";
};

TEST_F(CommandTuneTest, AForwardAndABackwardAreTunedInFullAndTheAnswersFound) {
  const json first = told(tune({"--form", "c1", "--pass", "forward,backward", "--target", "sm_90a"}));
  EXPECT_EQ(first.at("basis"), "modelled");
  EXPECT_EQ(first.at("answered"), 2);
  for (const json& problem : first.at("problems")) {
    EXPECT_EQ(problem.at("end"), "decided");
    EXPECT_GE(problem.at("counts").at("tried"), 2);
    EXPECT_GE(problem.at("winner").at("speedup"), 0.98);
  }
  const json again = told(tune({"--form", "c1", "--pass", "forward,backward", "--target", "sm_90a"}));
  for (const json& problem : again.at("problems")) EXPECT_EQ(problem.at("end"), "found");
  EXPECT_EQ(again.at("problems")[0].at("winner").at("config"), first.at("problems")[0].at("winner").at("config"));

  const json explained =
      told({"explain", "--dtype", "bf16", "--head-dim", "64", "--form", "c1", "--target", "sm_90a", "--device",
            "emulator", "--seqlen-q", "2048", "--seqlen-k", "2048", "--heads", "16", "--density", "0.13"});
  EXPECT_EQ(explained.at("config_source"), "tuned");
  EXPECT_EQ(explained.at("config"), first.at("problems")[0].at("winner").at("config"));

  const std::string page = directory_ / "page.html";
  EXPECT_EQ(run({"tune", "report", "-o", page}).exit_code, 0);
  std::ifstream file(page);
  const std::string html{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(html, AllOf(HasSubstr("modelled"), HasSubstr("c1")));

  const std::string exported = directory_ / "answers.json";
  EXPECT_EQ(told({"tune", "export", "-o", exported}).at("records"), 2);
  EXPECT_EQ(run({"tune", "diff", exported, database_}).exit_code, 0);
  const std::string other = directory_ / "other.db";
  EXPECT_EQ(told({"tune", "import", exported, "--db", other}).at("records"), 2);
  EXPECT_EQ(TuningDatabase::open_read_only(other).records().size(), 2u);

  // What a request may take is compiled with a manifest that names its descriptor alone, and then needs no compiler.
  std::vector<TuningRecord> records = TuningDatabase::open_read_only(other).records();
  const std::string manifest = directory_ / "kernels.toml", empty_cache = directory_ / "cache";
  std::ofstream(manifest) << "version = 1\n[[kernels]]\npass = [\"forward\", \"backward\"]\ndtype = \"bf16\"\n"
                             "head_dim = 64\nform = \"c1\"\ntarget = \"sm_90a\"\n";
  std::size_t unusual = 0;
  for (TuningRecord& record : records) {
    if (record.key.descriptor.pass == Pass::kForward) record.config = {128, 64, 8, 2, false, 1, true, true, 1};
    unusual += record.config != default_tile_config(record.key.descriptor);
    TuningDatabase::open(other).save(record);
  }
  ASSERT_GE(unusual, 1u);
  Environment strict = {{"FLASHMASK_TUNING", other}, {"FLASHMASK_CACHE_DIR", empty_cache}};
  const Outcome compiled = run_command_line(directory_, {"compile", manifest, "--json"}, strict);
  ASSERT_EQ(compiled.exit_code, 0) << compiled.err;
  // Beside them those of the answers that come with the library.
  const json counts = json::parse(compiled.out).at("counts");
  EXPECT_GE(counts.at("tuned"), unusual);
  EXPECT_EQ(counts.at("kernels"), counts.at("tuned").get<std::size_t>() + 2);
  strict["FLASHMASK_NO_JIT"] = "1";
  const Outcome taken = run_command_line(
      directory_,
      {"explain",  "--dtype",    "bf16", "--head-dim", "64",   "--form",  "c1", "--target",  "sm_90a", "--device",
       "emulator", "--seqlen-q", "2048", "--seqlen-k", "2048", "--heads", "16", "--density", "0.13",   "--json"},
      strict);
  ASSERT_EQ(taken.exit_code, 0) << taken.err;
  EXPECT_EQ(json::parse(taken.out).at("config_source"), "tuned");
  EXPECT_EQ(json::parse(taken.out).at("origin"), "disk");
}

TEST_F(CommandTuneTest, AKilledRunGoesOnAndRepeatsNoTrial) {
  const Words words = tune({"--form", "causal", "--target", "sm_80"});
  std::size_t kept = 0;
  for (int kill_after = 0; kill_after < 3; ++kill_after) {
    // Once a further trial is in the database.
    const std::size_t before = kept;
    const ChildCommand child(directory_, words, environment());
    for (int n = 0; n < 3000 && kept <= before && !child.has_ended(); ++n) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      kept = std::max(kept, trials_so_far());
    }
    child.send(SIGKILL);
    ASSERT_FALSE(child.has_ended() && kept <= before) << "it ended before it was killed";
    EXPECT_GT(kept, before);
  }
  const json result = told(words);
  EXPECT_EQ(result.at("answered"), 1);
  EXPECT_GE(result.at("problems")[0].at("counts").at("repeated"), kept);
}

TEST_F(CommandTuneTest, TwoTunersAtOnceLoseNothing) {
  const auto tuning = [&](const char* form) {
    return std::async(std::launch::async, [this, form] { return run(tune({"--form", form, "--target", "sm_80"})); });
  };
  auto a = tuning("causal"), b = tuning("none");
  EXPECT_EQ(a.get().exit_code, 0);
  EXPECT_EQ(b.get().exit_code, 0);
  const TuningDatabase database = TuningDatabase::open_read_only(database_);
  EXPECT_EQ(database.records().size(), 2u);
  for (const TuningKey& key : database.keys()) EXPECT_EQ(database.trials(key).size(), 12u) << "quick tries twelve";
}

TEST_F(CommandTuneTest, ADryRunPrintsTheSpaceAndMakesNothing) {
  const Outcome outcome = run(tune({"--form", "c2", "--dry-run"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("combinations"), HasSubstr("worth trying"), HasSubstr("pruned")));
  EXPECT_FALSE(std::filesystem::exists(database_));
}

TEST_F(CommandTuneTest, AReplayOfNothingAnswersNothing) {
  EXPECT_NE(run(tune({"--form", "c2", "--replay"})).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(database_));
}

TEST_F(CommandTuneTest, WhatIsWrongIsRefusedWithWhatIsAllowed) {
  const std::pair<Words, const char*> cases[] = {
      {tune({"--form", "c2", "--budget", "0s"}), "above 0"},
      {tune({"--form", "c2", "--budget", "10"}), "unit"},
      {{"tune", "--dtype", "bf16", "--head-dim", "64", "--form", "c2", "--effort", "heroic"}, "quick, normal or full"},
      {{"tune", "--dtype", "bf16", "--head-dim", "64", "--form", "c2", "--density", "some"},
       "sparse, light, medium or"},
      {tune({"--form", "c2", "-j", "0"}), "-j"},
      {tune({"--form", "c2", "--heads", "6,4"}), "multiple"},
      {tune({"--form", "c2", "--mask", "causal-documents"}), "density"},
      {tune({"--form", "c2", "--resume", "--again"}), "--again"},
      {tune({"--form", "c2", "--pass", "mask-plan"}), "no tiles"},
      {tune(), "--form"},
      {tune({"--form", "c2", "--manifest", "x.toml"}), "manifest"},
      {{"tune", "import", "/nowhere.json"}, "/nowhere.json"},
      {{"tune", "report", "-o", "/nowhere/page.html"}, "/nowhere"}};
  for (const auto& [words, text] : cases) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 2) << text << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text));
  }
  EXPECT_FALSE(std::filesystem::exists(database_)) << "what is refused makes nothing";
}

TEST_F(CommandTuneTest, AFileThatIsNoDatabaseStaysAsItIs) {
  std::ofstream(database_) << "notes\n";
  const Outcome outcome = run(tune({"--form", "c2"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(database_));
  std::ifstream file(database_);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "notes");
}

TEST_F(CommandTuneTest, APathThatCannotBeWrittenIsToldBeforeAnythingIsTimed) {
  const Outcome outcome =
      run_command_line(directory_, tune({"--form", "c2", "--db", "/proc/nowhere/tuning.db"}), environment());
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace flashmask::test
