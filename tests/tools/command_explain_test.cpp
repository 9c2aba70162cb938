// The built command's explain: what it tells without a GPU, a compiler or a trace, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/child_command.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

Words selection(const std::string& command, const std::string& head_dim, const std::string& target,
                const Words& more = {}) {
  Words words = {command, "--dtype", "bf16", "--head-dim", head_dim, "--form", "none", "--target", target};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::map<std::string, std::string> kNoCompiler = {{"FLASHMASK_NVRTC", "/nonexistent/libnvrtc.so"}};

TEST(CommandExplain, NeedsNoCompilerAndLeavesNoTrace) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("explain", "128", "sm_90"), kNoCompiler);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("kernel      forward bf16 d128 none sm_90\n"),
                                 HasSubstr("family      mma.sync (sm_80 and up)\n"),
                                 HasSubstr("target      sm_90: a CTA may take 232448 bytes of shared memory"),
                                 HasSubstr("tiles       128x64 w4 s2: the first of 5 candidates")));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("needs "), HasSubstr("limited by registers"),
                                 HasSubstr("entry       flashmask_forward_bf16_d128_none_128x64\n"),
                                 HasSubstr((directory / "cache").string()), HasSubstr("origin      compiled by")));
  EXPECT_FALSE(std::filesystem::exists(directory / "cache"));
}

TEST(CommandExplain, ListsEveryCandidateWithWhatIsAgainstIt) {
  const TemporaryDirectory directory;
  const Outcome text = run_command_line(directory, selection("explain", "256", "sm_86"));
  EXPECT_THAT(text.out, HasSubstr("128x64 w8 s2  refused: 131648 bytes of shared memory are needed, sm_86 allows "
                                  "101376 per CTA\n"));
  const json told = json::parse(run_command_line(directory, selection("explain", "256", "sm_86", {"--json"})).out);
  EXPECT_EQ(told.at("schema"), 1);
  EXPECT_EQ(told.at("command"), "explain");
  EXPECT_EQ(told.at("limits").at("shared_bytes_per_cta"), 101376);
  EXPECT_EQ(told.at("limits").at("ctas_per_multiprocessor"), 16);
  int chosen = 0;
  for (const json& candidate : told.at("candidates")) {
    const bool is_chosen = candidate.at("verdict") == "chosen";
    EXPECT_EQ(candidate.at("reasons").empty(), is_chosen) << candidate;
    if (!is_chosen) continue;
    ++chosen;
    EXPECT_EQ(candidate.at("config"), told.at("config"));
    EXPECT_EQ(candidate.at("estimate"), told.at("estimate"));
  }
  EXPECT_EQ(chosen, 1);
  EXPECT_EQ(told.at("candidates").at(0).at("verdict"), "refused");
  EXPECT_GE(told.at("estimate").at("ctas_per_multiprocessor"), 1);
  EXPECT_EQ(told.at("estimate").at("limited_by"), "shared_memory");
}

TEST(CommandExplain, SaysWhichFamilyServesAPass) {
  const TemporaryDirectory directory;
  EXPECT_THAT(run_command_line(directory, selection("explain", "128", "sm_90a")).out,
              AllOf(HasSubstr("family      wgmma (sm_90a)\n"), Not(HasSubstr("of its own"))));
  EXPECT_THAT(run_command_line(directory, selection("explain", "128", "sm_100a", {"--pass", "backward"})).out,
              AllOf(HasSubstr("family      mma.sync (sm_80 and up)\n"),
                    HasSubstr("there is no backward of its own for sm_100a yet")));
  EXPECT_THAT(run_command_line(directory, selection("explain", "128", "sm_90")).out, Not(HasSubstr("of its own")));
}

TEST(CommandExplain, TellsTheWholeConfigurationOfAForwardForSm90a) {
  const TemporaryDirectory directory;
  const Words asked = {"--config", "128x96,w8,s2,overlap,turns,q2"};
  const Words words = selection("explain", "128", "sm_90a", asked);
  EXPECT_THAT(run_command_line(directory, words).out,
              HasSubstr("tiles       128x96 w8 s2 overlap turns q2: asked for; the default is "));
  Words with_json = words;
  with_json.push_back("--json");
  const json told = json::parse(run_command_line(directory, with_json).out);
  EXPECT_EQ(told.at("config"), (json{{"tile_q", 128},
                                     {"tile_k", 96},
                                     {"warps", 8},
                                     {"stages", 2},
                                     {"query_in_registers", false},
                                     {"column_warps", 1},
                                     {"overlap", true},
                                     {"turns", true},
                                     {"query_slots", 2}}));
  EXPECT_EQ(told.at("family").at("name"), "wgmma");
  EXPECT_EQ(told.at("estimate").at("ctas_per_multiprocessor"), 1);
}

TEST(CommandExplain, TellsWhetherTheKernelIsOnDiskAndWhere) {
  const TemporaryDirectory directory;
  const Words explain = selection("explain", "32", "sm_80", {"--json"});
  const json before = json::parse(run_command_line(directory, explain).out);
  EXPECT_EQ(before.at("origin"), "compiled");
  EXPECT_EQ(before.at("cache").at("on_disk"), false);
  EXPECT_NE(before.at("cache").at("miss"), "");
  const json compiled = json::parse(run_command_line(directory, selection("compile", "32", "sm_80", {"--json"})).out);
  const Outcome outcome = run_command_line(directory, explain, kNoCompiler);
  const json after = json::parse(outcome.out);
  EXPECT_EQ(after.at("origin"), "disk");
  EXPECT_EQ(after.at("digest"), compiled.at("digest"));
  EXPECT_EQ(after.at("digest"), before.at("digest"));
  EXPECT_EQ(after.at("config"), compiled.at("config"));
  EXPECT_EQ(after.at("cache").at("toolchain"), compiled.at("toolchain"));
  EXPECT_TRUE(std::filesystem::is_regular_file(after.at("cache").at("file").get<std::string>()));
  EXPECT_THAT(run_command_line(directory, selection("explain", "32", "sm_80")).out, HasSubstr("origin      disk"));
}

TEST(CommandExplain, OfAMissItNamesTheNearestKernelThatIsThere) {
  const TemporaryDirectory directory;
  EXPECT_EQ(json::parse(run_command_line(directory, selection("explain", "32", "sm_80", {"--json"})).out).at("nearest"),
            nullptr);
  const Words other = {"compile", "--pass", "mask-plan", "--form", "f2", "--target", "sm_80", "--json"};
  const json compiled = json::parse(run_command_line(directory, other).out);
  const Words wanted = {"explain", "--pass", "mask-plan", "--form", "f4", "--target", "sm_80"};
  EXPECT_THAT(run_command_line(directory, wanted).out,
              HasSubstr("nearest     " + compiled.at("digest").get<std::string>() + ", compiled by " +
                        compiled.at("toolchain").get<std::string>() + "\n            mask_form = f2, not f4\n"));
  Words with_json = wanted;
  with_json.emplace_back("--json");
  EXPECT_EQ(json::parse(run_command_line(directory, with_json).out).at("nearest").at("differences"),
            (json{{{"field", "mask_form"}, {"wanted", "f4"}, {"found", "f2"}}}));
}

TEST(CommandExplain, UnderNoJitAKernelThatIsNotCachedComesFromNowhere) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("explain", "32", "sm_80"), {{"FLASHMASK_NO_JIT", "1"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("origin      none"), HasSubstr("FLASHMASK_NO_JIT")));
  const Outcome off = run_command_line(directory, selection("explain", "32", "sm_80", {"--json"}),
                                       {{"FLASHMASK_NO_JIT", "1"}, {"FLASHMASK_CACHE_DIR", "off"}});
  EXPECT_EQ(json::parse(off.out).at("origin"), "none");
  EXPECT_THAT(json::parse(off.out).at("cache").at("miss").get<std::string>(), HasSubstr("turned off"));
}

TEST(CommandExplain, ATileStandsBesideTheDefault) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("explain", "128", "sm_80", {"--tile", "64,32"}));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("tiles       64x32 w4 s2: asked for; the default is 128x64 w4 s2\n"),
                                 HasSubstr("128x64 w4 s2  default\n")));
  const Outcome refused = run_command_line(directory, selection("explain", "256", "sm_80", {"--tile", "256,256"}));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("--tile 256,256"), HasSubstr("sm_80 allows 166912 per CTA")));
  const Outcome config =
      run_command_line(directory, selection("explain", "128", "sm_80", {"--config", "128x64,w4,s2,overlap"}));
  EXPECT_EQ(config.exit_code, 2);
  EXPECT_THAT(config.err, AllOf(HasSubstr("--config 128x64,w4,s2,overlap"), HasSubstr("overlap = true")));
}

TEST(CommandExplain, ADescriptorWithoutAKernelIsExitCodeFourWithEveryRule) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("explain", "100,264", "sm_90", {"--json"}));
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 264")));
}

TEST(CommandExplain, AnUnknownTargetIsExitCodeTwoWithTheKnownOnes) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("explain", "128", "sm_75"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("--target sm_75"), HasSubstr("sm_121a")));
}

}  // namespace
}  // namespace flashmask::test
