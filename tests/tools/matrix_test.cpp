// What is told of a matrix of kernels, without compiling one.
#include "tools/command/matrix.h"

#include <gmock/gmock.h>

#include "tools/command/matrix_report.h"

namespace flashmask::command {
namespace {

using ::testing::HasSubstr;
using Outcome = MatrixOutcome;

MatrixRun run_of(const std::vector<Outcome>& outcomes) {
  MatrixRun run;
  for (const Outcome outcome : outcomes) {
    run.kernels.emplace_back();
    run.kernels.back().outcome = outcome;
  }
  return run;
}

ExitCode code_of(const std::vector<Outcome>& outcomes) {
  return exit_code_of(run_of(outcomes));
}

TEST(Matrix, TheExitCodeTellsHowMuchIsDone) {
  EXPECT_EQ(code_of({}), kExitOk);
  EXPECT_EQ(code_of({Outcome::kFound, Outcome::kCompiled}), kExitOk);
  for (const Outcome missing : {Outcome::kUnsupported, Outcome::kFailed, Outcome::kLeft})
    EXPECT_EQ(code_of({Outcome::kFound, missing}), kExitPartly);
  EXPECT_EQ(code_of({Outcome::kUnsupported, Outcome::kUnsupported}), kExitUnsupported);
  EXPECT_EQ(code_of({Outcome::kFailed, Outcome::kFailed}), kExitFailed);
  EXPECT_EQ(code_of({Outcome::kFailed, Outcome::kUnsupported}), kExitFailed);
  EXPECT_EQ(code_of({Outcome::kFound, Outcome::kNotCached, Outcome::kUnsupported}), kExitNotCached);
}

TEST(Matrix, TunedKernelsThatAreMissingDoNotSpeakAgainstIt) {
  for (const Outcome missing : {Outcome::kNotCached, Outcome::kFailed, Outcome::kUnsupported, Outcome::kLeft}) {
    MatrixRun run = run_of({Outcome::kFound, missing});
    run.kernels[1].is_tuned = true;
    EXPECT_EQ(exit_code_of(run), kExitOk);
    run.kernels[0].outcome = Outcome::kFailed;
    EXPECT_EQ(exit_code_of(run), kExitFailed);
  }
}

TEST(Matrix, TheStatusTellsCountsAndTheTimeLeft) {
  MatrixCounts counts;
  counts.expect(40);
  EXPECT_EQ(status_line(counts, std::chrono::seconds(3)), "[--------------------] 0/40:");
  for (int i = 0; i < 10; ++i) counts.add(Outcome::kFound);
  EXPECT_EQ(status_line(counts, std::chrono::seconds(3)), "[#####---------------] 10/40: 10 found");
  for (int i = 0; i < 8; ++i) counts.add(Outcome::kCompiled);
  for (int i = 0; i < 2; ++i) counts.add(Outcome::kFailed);
  EXPECT_EQ(status_line(counts, std::chrono::seconds(40)),
            "[##########----------] 20/40: 10 found, 8 compiled, 2 failed; 1:40 left");
}

TEST(Matrix, WhatIsMissingIsListedByReason) {
  MatrixRun run = run_of({Outcome::kFailed, Outcome::kFound, Outcome::kFailed, Outcome::kUnsupported, Outcome::kLeft});
  run.kernels[0].reason = run.kernels[2].reason = "the disk is full";
  run.kernels[0].hint = run.kernels[2].hint = "make room";
  run.kernels[2].request.descriptor.mask_form = MaskForm::kF2;
  run.kernels[3].reason = "a rule; another rule";
  run.kernels[3].request.config = parse_tile_config("64x64,w4,s2");
  EXPECT_EQ(missing_text(run.kernels),
            "flashmask: left: an interrupt came before; the same command goes on\n"
            "  forward bf16 d128 none sm_80\n"
            "flashmask: unsupported: a rule; another rule\n"
            "  forward bf16 d128 none sm_80, tiles 64x64 w4 s2\n"
            "flashmask: failed: the disk is full\n"
            "  forward bf16 d128 none sm_80\n"
            "  forward bf16 d128 f2 sm_80\n"
            "hint: make room\n");
  EXPECT_EQ(missing_text(run_of({Outcome::kFound}).kernels), "");
}

TEST(Matrix, ATextThatIsNotUtf8IsStillJson) {
  MatrixRun run = run_of({Outcome::kFailed});
  run.kernels[0].reason = "\xff";
  EXPECT_THAT(report_json(run), HasSubstr("\"outcome\": \"failed\""));
}

}  // namespace
}  // namespace flashmask::command
