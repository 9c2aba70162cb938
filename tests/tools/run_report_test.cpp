#include "tools/command/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tools/command/progress.h"

namespace flashmask::command {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunReport report() {
  RunReport result;
  result.device.name = "PTX emulator";
  KernelReport& forward = result.forward;
  forward.descriptor.mask_form = MaskForm::kC1;
  forward.config = {128, 64, 4, 2, false};
  forward.origin = KernelOrigin::kCompiled;
  forward.digest = "abc";
  forward.compile_seconds = 0.4;
  forward.is_stored = true;
  forward.statistics = LaunchStatistics{};
  forward.statistics->matrix_with_copy_in_flight = 3;
  forward.statistics->matrix_without_copy_in_flight = 1;
  result.counters.requests = result.counters.compiles = result.counters.stores = 1;
  result.problem.mask_form = MaskForm::kC1;
  result.output = "out.safetensors";
  return result;
}

TEST(RunReport, TellsWhereTheKernelCameFrom) {
  RunReport shown = report();
  EXPECT_THAT(to_text(shown), HasSubstr("compiled in 0.400 s, stored in the cache"));
  shown.forward.is_stored = false;
  EXPECT_THAT(to_text(shown), HasSubstr("compiled in 0.400 s, not stored in the cache"));
  shown.forward.origin = KernelOrigin::kDisk;
  EXPECT_THAT(to_text(shown), HasSubstr("nothing compiled"));
}

TEST(RunReport, TellsWhatTheEmulatorCounted) {
  EXPECT_THAT(to_text(report()), HasSubstr("a copy in flight at 75.0 % of the multiplies"));
  RunReport on_gpu = report();
  on_gpu.forward.statistics.reset();
  on_gpu.forward.launch_seconds = 0.0015;
  EXPECT_THAT(to_text(on_gpu), HasSubstr("launch    1.500 ms"));
}

TEST(RunReport, TellsAFailedVerificationLoudly) {
  RunReport shown = report();
  EXPECT_THAT(to_text(shown), Not(HasSubstr("verify")));
  shown.verification = reference::Comparison{};
  EXPECT_THAT(to_text(shown), HasSubstr("FAILED"));
  shown.verification->passed = true;
  EXPECT_THAT(to_text(shown), HasSubstr("verify    passed"));
}

TEST(RunReport, IsOneJsonObjectWithASchema) {
  RunReport shown = report();
  shown.verification = reference::Comparison{};
  shown.output = "not utf-8: \xff";
  const nlohmann::json json = nlohmann::json::parse(to_json(shown));
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("compiled"), true);
  EXPECT_EQ(json.at("kernel").at("descriptor").at("form"), "c1");
  EXPECT_EQ(json.at("kernel").at("config").at("tile_q"), 128);
  EXPECT_EQ(json.at("counters").at("compiles"), 1);
  EXPECT_EQ(json.at("emulation").at("matrix_with_copy_in_flight"), 3);
  EXPECT_EQ(json.at("verification").at("passed"), false);
}

/// The same with a backward on a GPU, verified.
RunReport backward_report() {
  RunReport result = report();
  KernelReport& backward = result.backward.emplace();
  backward.descriptor = result.forward.descriptor;
  backward.descriptor.pass = Pass::kBackward;
  backward.descriptor.deterministic = true;
  backward.config = {64, 64, 8, 2, false};
  backward.origin = KernelOrigin::kDisk;
  backward.lookup_seconds = 0.002;
  backward.workspace_bytes = 4096;
  backward.launch_seconds = 0.0035;
  backward.plan = PlanCounts{1, 2, 3};
  reference::GradientComparison& verification = result.gradient_verification.emplace();
  verification.query = {0.25, 0.25, 0.5, 0, 7, 0, true};
  verification.key = {0.75, 0.25, 0.5, 2, 0, 0, false};
  verification.value = {0.125, 0.25, 0.5, 0, 5, 1, false};
  return result;
}

TEST(RunReport, TellsOfABackwardWhatItTellsOfAForward) {
  EXPECT_THAT(to_text(report()), Not(HasSubstr("backward")));
  const std::string text = to_text(backward_report());
  EXPECT_THAT(text, HasSubstr("kernel    forward bf16 d128 c1 bottom-right sm_80, tiles 128x64 w4 s2\n"));
  EXPECT_THAT(text, HasSubstr("kernel    backward bf16 d128 c1 bottom-right sm_80 deterministic, tiles 64x64 w8 s2\n"));
  EXPECT_THAT(text, HasSubstr("bytes of shared memory, a workspace of 4096 bytes\n"
                              "origin    disk: found in the cache in 2.000 ms, nothing compiled\n"
                              "tiles     3 of 6 visited (50.0 %): 1 full, 2 partial; 3 empty\n"
                              "launch    3.500 ms\n"));
  EXPECT_THAT(text,
              HasSubstr("verify    passed: max |dq - ref| 0.25 (allowed 0.5), 0 NaN, 7 rows that see no key, 0 of "
                        "them wrong\n"
                        "verify    FAILED: max |dk - ref| 0.75 (allowed 0.5), 2 NaN\n"
                        "verify    FAILED: max |dv - ref| 0.125 (allowed 0.5), 0 NaN, 5 keys that no row sees, 1 "
                        "of them wrong\n"));
}

TEST(RunReport, ABackwardIsAnObjectOfItsOwnInJson) {
  EXPECT_FALSE(nlohmann::json::parse(to_json(report())).contains("backward"));
  const nlohmann::json json = nlohmann::json::parse(to_json(backward_report()));
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("kernel").at("descriptor").at("pass"), "forward");
  EXPECT_EQ(json.at("kernel").at("descriptor").at("deterministic"), false);
  const nlohmann::json& backward = json.at("backward");
  EXPECT_EQ(backward.at("kernel").at("descriptor").at("pass"), "backward");
  EXPECT_EQ(backward.at("kernel").at("descriptor").at("deterministic"), true);
  EXPECT_EQ(backward.at("kernel").at("config").at("warps"), 8);
  EXPECT_EQ(backward.at("compiled"), false);
  EXPECT_EQ(backward.at("tiles").at("empty"), 3);
  EXPECT_EQ(backward.at("workspace_bytes"), 4096);
  EXPECT_EQ(backward.at("launch_seconds"), 0.0035);
  EXPECT_FALSE(backward.contains("emulation"));
  EXPECT_EQ(backward.at("verification").at("passed"), false);
  EXPECT_EQ(backward.at("verification").at("dq").at("passed"), true);
  EXPECT_EQ(backward.at("verification").at("dk").at("nan_count"), 2);
  EXPECT_EQ(backward.at("verification").at("dv").at("zero_rows_wrong"), 1);
}

TEST(ProgressBar, FillsWithThePhasesDone) {
  EXPECT_EQ(progress_bar(0, 4, 8), "[--------]");
  EXPECT_EQ(progress_bar(1, 4, 8), "[##------]");
  EXPECT_EQ(progress_bar(4, 4, 8), "[########]");
  EXPECT_EQ(progress_bar(5, 4, 8), "[########]");
}

}  // namespace
}  // namespace flashmask::command
