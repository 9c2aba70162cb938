// The built command's record, and the way that it is for: a run recorded, its kernels compiled, the run repeated where
// nothing may be compiled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "flashmask/manifest.h"
#include "tests/tools/child_command.h"
#include "tests/tools/random_problem.h"

namespace flashmask::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class CommandRecord : public ::testing::Test {
 protected:
  Outcome record(const Words& command, const std::map<std::string, std::string>& environment = {}) {
    Words words = {"record", "-o", path_, "--"};
    words.insert(words.end(), command.begin(), command.end());
    return run_command_line(directory_, words, environment);
  }
  Words run_words() const {
    return {"run", directory_ / "in", "-o", directory_ / "out", "--causal", "--device", "emulator", "--no-races"};
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_ / "kernels.toml";
};

TEST_F(CommandRecord, ARunThatWasRecordedIsRepeatedWhereNothingMayBeCompiled) {
  RandomProblem problem;
  problem.vectors = 1;
  write_problem(problem, directory_ / "in");
  Words command = run_words();
  command.insert(command.begin(), FLASHMASK_COMMAND);
  const Outcome recorded = record(command);
  ASSERT_EQ(recorded.exit_code, 0) << recorded.err;
  const std::vector<KernelRequest> requests = read_manifest(path_).requests;
  ASSERT_EQ(requests.size(), 2u) << read_file(path_);
  EXPECT_EQ(requests[0].descriptor.pass, Pass::kForward);
  EXPECT_EQ(requests[1].descriptor.pass, Pass::kMaskPlan);
  EXPECT_EQ(read_file(path_), to_text(requests));
  EXPECT_EQ(record(command).exit_code, 0);
  EXPECT_EQ(read_file(path_), to_text(requests));

  const std::map<std::string, std::string> shipped = {{"FLASHMASK_CACHE_DIR", directory_ / "shipped"}};
  std::map<std::string, std::string> strict = shipped;
  strict["FLASHMASK_NO_JIT"] = "1";
  EXPECT_EQ(run_command_line(directory_, run_words(), strict).exit_code, 5);
  ASSERT_EQ(run_command_line(directory_, {"compile", path_}, shipped).exit_code, 0);
  strict["FLASHMASK_NVRTC"] = "/nonexistent";
  const Outcome repeated = run_command_line(directory_, run_words(), strict);
  EXPECT_EQ(repeated.exit_code, 0) << repeated.err;
}

TEST_F(CommandRecord, ItReturnsWhatTheCommandReturnsAndKeepsWhatWasRecordedBefore) {
  const std::string before = to_text({{}});
  write_file(path_, before);
  EXPECT_EQ(record({"sh", "-c", "exit 3"}).exit_code, 3);
  EXPECT_EQ(record({"sh", "-c", "kill -TERM $$"}).exit_code, 128 + SIGTERM);
  EXPECT_EQ(record({"sh", "-c", "exit $#", "sh", "--", "-o"}).exit_code, 2);
  EXPECT_EQ(read_file(path_), before);
}

TEST_F(CommandRecord, TheCommandIsToldTheWholePathAndNoOther) {
  const Outcome outcome = record({"sh", "-c", "echo $FLASHMASK_RECORD; env | grep -c FLASHMASK_RECORD="},
                                 {{"FLASHMASK_RECORD", "/elsewhere"}});
  EXPECT_EQ(outcome.out, path_ + "\n1\n");
}

TEST_F(CommandRecord, WhatIsAppendedIsCollapsedAndACutTableIsOneWarning) {
  const std::string table = to_text({{}}).substr(to_text({{}}).find("[[kernels]]"));
  const Outcome outcome = record({"sh", "-c",
                                  "printf '# A manifest of flashmask; tables may be appended.\\nversion = 1\\n' > $0; "
                                  "for i in 1 2 3; do printf \"\\n$1\" >> $0; done; printf '\\n[[kernels]]\\npa' >> $0",
                                  path_, table});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("are no whole table"));
  EXPECT_EQ(read_file(path_), to_text({{}}));
}

TEST_F(CommandRecord, ACommandThatRequestsNothingLeavesAnEmptyManifestAndAWarning) {
  const Outcome outcome = record({"true"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("nothing was recorded"));
  EXPECT_EQ(read_file(path_), to_text({}));
}

TEST_F(CommandRecord, ACommandThatIsNotThereIsExitCode127AndNoFile) {
  const Outcome outcome = record({directory_ / "no-such-command"});
  EXPECT_EQ(outcome.exit_code, 127);
  EXPECT_THAT(outcome.err, HasSubstr("no-such-command"));
  write_file(directory_ / "text", "no program");
  EXPECT_EQ(record({directory_ / "text"}).exit_code, 126);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(CommandRecord, AFileThatIsNoManifestIsExitCodeTwoAndStaysAndNothingIsRun) {
  write_file(path_, "precious\n");
  const Outcome outcome = record({"touch", directory_ / "ran"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr(path_ + ":1:"));
  EXPECT_EQ(read_file(path_), "precious\n");
  EXPECT_FALSE(std::filesystem::exists(directory_ / "ran"));
}

TEST_F(CommandRecord, ASignalIsForTheCommandAndItsRecordingIsFinished) {
  ChildCommand command(directory_,
                       {"record", "-o", path_, "--", "sh", "-c",
                        "trap 'echo stopped >&2; exit 9' TERM; echo started >&2; "
                        "while :; do sleep 0.05; done"},
                       {}, ChildCommand::StandardError::kTerminal);
  ASSERT_TRUE(command.wait_for_terminal("started"));
  command.send(SIGTERM);
  ASSERT_TRUE(command.wait_for_terminal("nothing was recorded"));
  EXPECT_EQ(command.wait().exit_code, 9);
  EXPECT_EQ(read_file(path_), to_text({}));
}

TEST_F(CommandRecord, WordsWithoutACommandAreRefused) {
  for (const Words& words : {Words{"record", "-o", path_}, Words{"record", "-o", path_, "--"},
                             Words{"record", "--", "true"}, Words{"record", "-o", path_, "true"}})
    EXPECT_EQ(run_command_line(directory_, words).exit_code, 2);
}

/// The command that a strict miss names, as somebody pastes it into a shell in which compiling is forbidden.
int paste(const std::string& error) {
  const std::string mark = "Compile it beforehand: ";
  const std::size_t at = error.find(mark);
  if (at == error.npos) return -1;
  const std::string command = error.substr(at + mark.size(), error.find('\n', at) - at - mark.size());
  const std::string folder = std::filesystem::path(FLASHMASK_COMMAND).parent_path().string();
  return std::system(
      ("export FLASHMASK_NO_JIT=1 FLASHMASK_CACHE_DIR=off PATH='" + folder + "':\"$PATH\"; " + command + " >/dev/null")
          .c_str());
}

TEST(StrictMode, AMissNamesTheVeryCommandThatMendsIt) {
  const TemporaryDirectory directory;
  const std::map<std::string, std::string> strict = {{"FLASHMASK_NO_JIT", "1"},
                                                     {"FLASHMASK_CACHE_DIR", directory / "it's a \"cache\" $HOME"},
                                                     {"FLASHMASK_TOOLCHAIN", "13"}};
  const std::vector<Words> kernels = {
      {"--dtype", "fp16", "--head-dim", "32,16", "--form", "c1", "--causal-alignment", "top-left"},
      {"--pass", "backward", "--dtype", "bf16", "--head-dim", "16", "--form", "f2", "--deterministic"},
      {"--dtype", "bf16", "--head-dim", "32", "--form", "none", "--config", "64x32,w4,s2"},
      {"--pass", "mask-plan", "--form", "c2", "--causal-alignment", "top-left"},
      {"--pass", "mask-build", "--form", "f2"}};
  for (const Words& kernel : kernels) {
    Words words = {"compile", "--target", "sm_80"};
    words.insert(words.end(), kernel.begin(), kernel.end());
    const Outcome miss = run_command_line(directory, words, strict);
    EXPECT_EQ(miss.exit_code, 5) << miss.err;
    EXPECT_EQ(paste(miss.err), 0) << miss.err;
    const Outcome hit = run_command_line(directory, words, strict);
    EXPECT_EQ(hit.exit_code, 0) << hit.err;
    EXPECT_THAT(hit.out, HasSubstr("found     in the cache"));
  }
}

TEST(StrictMode, ARunIsMendedByTheCommandsThatItNamesOneAfterTheOther) {
  const TemporaryDirectory directory;
  RandomProblem problem;
  problem.vectors = 1;
  write_problem(problem, directory / "in");
  const std::map<std::string, std::string> strict = {{"FLASHMASK_NO_JIT", "1"}, {"FLASHMASK_NVRTC", "/nonexistent"}};
  int misses = 0;
  for (;; ++misses) {
    const Outcome outcome = run_command_line(
        directory, {"run", directory / "in", "-o", directory / "out", "--causal", "--device", "emulator"}, strict);
    if (outcome.exit_code == 0) break;
    ASSERT_EQ(outcome.exit_code, 5) << outcome.err;
    ASSERT_EQ(paste(outcome.err), 0) << outcome.err;
    ASSERT_LT(misses, 4);
  }
  EXPECT_EQ(misses, 2);
}

TEST(StrictMode, WithoutACacheAMissSaysThatOneIsNeeded) {
  const TemporaryDirectory directory;
  const Outcome miss =
      run_command_line(directory, {"compile", "--pass", "mask-plan", "--form", "c2", "--target", "sm_80"},
                       {{"FLASHMASK_NO_JIT", "1"}, {"FLASHMASK_CACHE_DIR", "off"}});
  EXPECT_EQ(miss.exit_code, 5);
  EXPECT_THAT(miss.err, AllOf(HasSubstr("there is none"), HasSubstr("hint: Name a cache directory"),
                              HasSubstr("flashmask compile --pass mask-plan --form c2 --target sm_80")));
}

}  // namespace
}  // namespace flashmask::test
