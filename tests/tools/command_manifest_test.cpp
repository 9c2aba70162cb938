// The built command on manifests: a whole matrix compiled, gone on with, found, refused, interrupted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "flashmask/manifest.h"
#include "tests/tools/child_command.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

const std::string kHead = "version = 1\n";
const std::string kMasks = "[[kernels]]\npass = \"mask-plan\"\nform = [\"c1\", \"f2\"]\ntarget = \"sm_80\"\n";
const std::string kForward =
    "[[kernels]]\npass = \"forward\"\ndtype = \"bf16\"\nhead_dim = 32\nform = \"none\"\ntarget = \"sm_80\"\n";
/// A configuration that sm_80 cannot have.
const std::string kUnsupported = kForward + "config = \"128x64,w4,s2,overlap\"\n";

class CommandManifest : public ::testing::Test {
 protected:
  Outcome compile(const std::string& text, const Words& more = {},
                  const std::map<std::string, std::string>& environment = {}) {
    write_file(path_, text);
    Words words = {"compile", path_};
    words.insert(words.end(), more.begin(), more.end());
    return run_command_line(directory_, words, environment);
  }
  json compiled(const std::string& text, const Words& more = {}) {
    Words words = more;
    words.emplace_back("--json");
    const Outcome outcome = compile(text, words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out);
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_ / "kernels.toml";
};

TEST_F(CommandManifest, EveryKernelIsCompiledOnceAndFoundTheSecondTime) {
  const json first = compiled(kHead + kForward + kMasks, {"-j", "2"});
  EXPECT_EQ(first.at("schema"), 1);
  EXPECT_EQ(first.at("command"), "compile");
  EXPECT_EQ(first.at("complete"), true);
  EXPECT_EQ(first.at("jobs"), 2);
  EXPECT_EQ(first.at("counts").at("kernels"), 3);
  EXPECT_EQ(first.at("counts").at("compiled"), 3);
  const json second = compiled(kHead + kForward + kMasks);
  EXPECT_EQ(second.at("counts").at("found"), 3);
  EXPECT_EQ(second.at("counts").at("compiled"), 0);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const json& before = first.at("kernels").at(i);
    const json& after = second.at("kernels").at(i);
    EXPECT_EQ(before.at("outcome"), "compiled");
    EXPECT_EQ(before.at("origin"), "compiled");
    EXPECT_EQ(after.at("outcome"), "found");
    EXPECT_EQ(after.at("origin"), "disk");
    for (const char* field : {"descriptor", "config", "digest", "cubin_bytes", "resources", "toolchain"})
      EXPECT_EQ(before.at(field), after.at(field)) << field;
    EXPECT_GT(before.at("compile_seconds"), 0);
    EXPECT_EQ(after.at("compile_seconds"), 0);
    EXPECT_GT(before.at("resources").at("registers"), 0);
    bytes += before.at("cubin_bytes").get<std::size_t>();
  }
  EXPECT_EQ(first.at("cubin_bytes"), bytes);
  EXPECT_EQ(first.at("kernels").at(0).at("descriptor").at("pass"), "forward");
}

TEST_F(CommandManifest, ItNeedsNoCompilerForWhatIsThere) {
  ASSERT_EQ(compile(kHead + kMasks).exit_code, 0);
  const Outcome again = compile(kHead + kMasks, {}, {{"FLASHMASK_NVRTC", "/nonexistent"}});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, AllOf(StartsWith("manifest     " + path_ + ": 2 kernels for sm_80\n"),
                               HasSubstr("found        2\n"), HasSubstr("compiled     0 in ")));
}

TEST_F(CommandManifest, OtherTargetsTakeThePlaceOfItsOwnInAnyOrderOfTheWords) {
  const json told = compiled(kHead + kMasks, {"--target", "sm_86", "--target", "sm_90"});
  EXPECT_EQ(told.at("counts").at("kernels"), 4);
  EXPECT_EQ(told.at("kernels").at(0).at("descriptor").at("target"), "sm_86");
  EXPECT_EQ(told.at("kernels").at(3).at("descriptor").at("target"), "sm_90");
  const Outcome other = run_command_line(directory_, {"compile", "--target", "sm_86", path_, "-j", "1"});
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_THAT(other.out, HasSubstr("found        2\n"));
}

TEST_F(CommandManifest, WhatATargetCannotHaveIsExitCodeThreeWithEveryRuleAndTheRestIsDone) {
  const Outcome outcome = compile(kHead + kMasks + kUnsupported);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("flashmask: unsupported: overlap = true"),
                                 HasSubstr("  forward bf16 d32 none sm_80, tiles 128x64 w4 s2 overlap\n")));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("compiled     2 in"), HasSubstr("unsupported  1\n")));
  const json told = json::parse(compile(kHead + kMasks + kUnsupported, {"--json"}).out);
  EXPECT_EQ(told.at("complete"), false);
  EXPECT_EQ(told.at("counts").at("unsupported"), 1);
  EXPECT_EQ(told.at("kernels").at(0).at("outcome"), "unsupported");
  EXPECT_THAT(told.at("kernels").at(0).at("reason").get<std::string>(), HasSubstr("overlap = true"));
}

TEST_F(CommandManifest, AFormThatAPassDoesNotHaveIsUnsupported) {
  const Outcome outcome =
      compile(kHead + "[[kernels]]\npass = \"mask-plan\"\nform = [\"none\", \"c1\"]\ntarget = \"sm_80\"\n");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("unsupported: mask_form = none: closed forms need no plan"));
}

TEST_F(CommandManifest, NothingSupportedIsExitCodeFour) {
  EXPECT_EQ(compile(kHead + kUnsupported).exit_code, 4);
}

TEST_F(CommandManifest, AllFailedIsExitCodeOneAndSomeFailedIsExitCodeThree) {
  const std::map<std::string, std::string> no_compiler = {{"FLASHMASK_NVRTC", "/nonexistent"}};
  const Outcome all = compile(kHead + kMasks + kUnsupported, {}, no_compiler);
  EXPECT_EQ(all.exit_code, 1);
  EXPECT_THAT(all.err, AllOf(HasSubstr("flashmask: failed: NVRTC"), HasSubstr("hint: "),
                             HasSubstr("  mask-plan c1 bottom-right sm_80\n  mask-plan f2 sm_80\n")));
  ASSERT_EQ(compile(kHead + kMasks).exit_code, 0);
  EXPECT_EQ(compile(kHead + kMasks + kForward, {}, no_compiler).exit_code, 3);
}

TEST_F(CommandManifest, UnderNoJitItTellsWhatIsMissing) {
  ASSERT_EQ(compile(kHead + kMasks).exit_code, 0);
  const std::map<std::string, std::string> no_jit = {{"FLASHMASK_NO_JIT", "1"}};
  EXPECT_EQ(compile(kHead + kMasks, {}, no_jit).exit_code, 0);
  const Outcome missing = compile(kHead + kMasks + kForward, {}, no_jit);
  EXPECT_EQ(missing.exit_code, 5);
  EXPECT_THAT(missing.err, AllOf(HasSubstr("not cached: "), HasSubstr("  forward bf16 d32 none sm_80\n"),
                                 Not(HasSubstr("mask-plan"))));
}

TEST_F(CommandManifest, WhatCannotBeKeptIsNotDone) {
  write_file(directory_ / "file", "in the way");
  const Outcome outcome = compile(kHead + kMasks, {}, {{"FLASHMASK_CACHE_DIR", directory_ / "file/cache"}});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("it was compiled, and the cache does not hold it"));
  const Outcome small = compile(kHead + kMasks + kForward, {}, {{"FLASHMASK_CACHE_SIZE", "200KiB"}});
  EXPECT_EQ(small.exit_code, 3);
  EXPECT_THAT(small.err, AllOf(HasSubstr("the cache does not hold it"), HasSubstr("FLASHMASK_CACHE_SIZE")));
  const Outcome off = compile(kHead + kMasks, {}, {{"FLASHMASK_CACHE_DIR", "off"}});
  EXPECT_EQ(off.exit_code, 2);
  EXPECT_THAT(off.err, HasSubstr("FLASHMASK_CACHE_DIR=off"));
}

TEST_F(CommandManifest, AMalformedOneIsExitCodeTwoWithEveryPlaceAndNothingIsCompiled) {
  const Outcome outcome = compile(kHead + kMasks + "[[kernels]]\npass = \"foward\"\nfrom = \"c1\"\n");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(path_ + ":7:8: pass = \"foward\": allowed: forward, backward"),
                                 HasSubstr(path_ + ":8:1: \"from\": this key is unknown, form is probably meant"),
                                 HasSubstr(path_ + ":6:1: this table has no target")));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "cache"));
  EXPECT_EQ(run_command_line(directory_, {"compile", directory_ / "missing.toml"}).exit_code, 1);
}

TEST_F(CommandManifest, AnEmptyOneIsDone) {
  EXPECT_EQ(compile(kHead).exit_code, 0);
}

TEST_F(CommandManifest, AnInterruptKeepsWhatIsDoneAndTellsWhatIsLeft) {
  write_file(path_, kHead + "[[kernels]]\npass = [\"forward\", \"backward\"]\ndtype = [\"fp16\", \"bf16\"]\n" +
                        "head_dim = [8, 16, 32, 64]\nform = \"all\"\ntarget = \"sm_80\"\n");
  ChildCommand command(directory_, {"compile", path_, "-j", "1", "--json"}, {}, ChildCommand::StandardError::kTerminal);
  ASSERT_TRUE(command.wait_for_terminal(" compiled; "));
  command.send(SIGINT);
  const Outcome outcome = command.wait();
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("\r\x1b[K["), HasSubstr("/112: ")));
  const json told = json::parse(outcome.out);
  const int compiled = told.at("counts").at("compiled"), left = told.at("counts").at("left");
  EXPECT_GT(compiled, 0);
  EXPECT_GT(left, 0);
  EXPECT_EQ(compiled + left, 112);
  EXPECT_EQ(told.at("complete"), false);
  const json after =
      json::parse(run_command_line(directory_, {"compile", path_, "--json"}, {{"FLASHMASK_NO_JIT", "1"}}).out);
  EXPECT_EQ(after.at("counts").at("found"), compiled);
  EXPECT_EQ(after.at("counts").at("not_cached"), left);
}

TEST(DefaultMatrix, IsWhatItSaysAndEveryTargetHasEveryKernelOfIt) {
  const Manifest manifest = read_manifest(FLASHMASK_EXAMPLES "/default_matrix.toml");
  std::size_t attention = 0;
  for (const KernelRequest& request : manifest.requests) {
    attention += is_attention(request.descriptor.pass);
    EXPECT_TRUE(broken_rules(request.descriptor).empty());
    if (is_attention(request.descriptor.pass)) {
      EXPECT_NO_THROW(default_tile_config(request.descriptor));
    }
  }
  EXPECT_EQ(attention, 2u * 5 * 7 * 2 * 3);
  EXPECT_EQ(manifest.requests.size() - attention, 3u * (4 + 2));
}

}  // namespace
}  // namespace flashmask::test
