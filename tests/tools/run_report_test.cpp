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
  result.descriptor.mask_form = MaskForm::kC1;
  result.config = {128, 64, 4, 2, false};
  result.origin = KernelOrigin::kCompiled;
  result.digest = "abc";
  result.counters.requests = result.counters.compiles = result.counters.stores = 1;
  result.counters.compile_seconds = 0.4;
  result.problem.mask_form = MaskForm::kC1;
  result.statistics = LaunchStatistics{};
  result.statistics->matrix_with_copy_in_flight = 3;
  result.statistics->matrix_without_copy_in_flight = 1;
  result.output = "out.safetensors";
  return result;
}

TEST(RunReport, TellsWhereTheKernelCameFrom) {
  RunReport shown = report();
  EXPECT_THAT(to_text(shown), HasSubstr("compiled in 0.400 s, stored in the cache"));
  shown.origin = KernelOrigin::kDisk;
  EXPECT_THAT(to_text(shown), HasSubstr("nothing compiled"));
}

TEST(RunReport, TellsWhatTheEmulatorCounted) {
  EXPECT_THAT(to_text(report()), HasSubstr("a copy in flight at 75.0 % of the multiplies"));
  RunReport on_gpu = report();
  on_gpu.statistics.reset();
  on_gpu.launch_seconds = 0.0015;
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

TEST(ProgressBar, FillsWithThePhasesDone) {
  EXPECT_EQ(progress_bar(0, 4, 8), "[--------]");
  EXPECT_EQ(progress_bar(1, 4, 8), "[##------]");
  EXPECT_EQ(progress_bar(4, 4, 8), "[########]");
  EXPECT_EQ(progress_bar(5, 4, 8), "[########]");
}

}  // namespace
}  // namespace flashmask::command
