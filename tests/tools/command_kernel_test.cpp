// The built command on kernels without a device: compile, inspect, doctor, and the ways in which there is no kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
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

Words selection(const std::string& command, const Words& more = {}) {
  Words words = {command, "--pass", "forward", "--dtype",  "bf16", "--head-dim",
                 "64",    "--form", "c1",      "--target", "sm_80"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(CommandCompile, CompilesOnceAndFindsItTheSecondTime) {
  const TemporaryDirectory directory;
  const Outcome first = run_command_line(directory, selection("compile", {"--json"}));
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Outcome second = run_command_line(directory, selection("compile", {"--json"}));
  ASSERT_EQ(second.exit_code, 0) << second.err;
  const json compiled = json::parse(first.out), found = json::parse(second.out);
  EXPECT_EQ(compiled.at("schema"), 1);
  EXPECT_EQ(compiled.at("compiled"), true);
  EXPECT_EQ(found.at("compiled"), false);
  EXPECT_EQ(found.at("origin"), "disk");
  EXPECT_EQ(compiled.at("digest"), found.at("digest"));
  EXPECT_EQ(compiled.at("resources"), found.at("resources"));
  EXPECT_GT(compiled.at("resources").at("registers"), 0);
  EXPECT_GT(compiled.at("compile_seconds"), 0);
  EXPECT_EQ(found.at("compile_seconds"), 0);
}

TEST(CommandCompile, PutsTheKernelsThatWriteMasksIntoTheCache) {
  const TemporaryDirectory directory;
  const Words words = {"compile", "--pass", "mask-build", "--form", "f2", "--target", "sm_80", "--json"};
  const Outcome first = run_command_line(directory, words), second = run_command_line(directory, words);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(json::parse(first.out).at("compiled"), true);
  EXPECT_EQ(json::parse(second.out).at("origin"), "disk");
  Words others = words;
  for (const char* command : {"inspect", "explain"}) {
    others[0] = command;
    const Outcome told = run_command_line(directory, others);
    ASSERT_EQ(told.exit_code, 0) << command << ": " << told.err;
    EXPECT_EQ(json::parse(told.out).at("digest"), json::parse(first.out).at("digest")) << command;
  }
  const Words shown = {"inspect", "--pass", "mask-build", "--form", "f2", "--target", "sm_80"};
  EXPECT_THAT(run_command_line(directory, shown).out,
              AllOf(HasSubstr("mask-build f2 sm_80"), HasSubstr("512 threads"), HasSubstr("64 warps")));
}

TEST(CommandCompile, TellsAPersonTheSame) {
  const TemporaryDirectory directory;
  const Outcome first = run_command_line(directory, selection("compile"));
  EXPECT_THAT(first.out, AllOf(HasSubstr("forward bf16 d64 c1"), HasSubstr("compiled  in"), HasSubstr("registers")));
  EXPECT_THAT(run_command_line(directory, selection("compile")).out, HasSubstr("found     in the cache"));
}

TEST(CommandCompile, AFoundKernelNeedsNoCompilerAndAMissingOneSaysSo) {
  const TemporaryDirectory directory;
  const std::map<std::string, std::string> no_compiler = {{"FLASHMASK_NVRTC", directory / "no-such-libnvrtc.so"}};
  const Outcome missing = run_command_line(directory, selection("compile"), no_compiler);
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err,
              AllOf(HasSubstr("flashmask: error: "), HasSubstr("no-such-libnvrtc.so"), HasSubstr("hint: ")));
  ASSERT_EQ(run_command_line(directory, selection("compile")).exit_code, 0);
  EXPECT_EQ(run_command_line(directory, selection("compile"), no_compiler).exit_code, 0);
}

TEST(CommandCompile, UnderNoJitAMissIsExitCodeFiveAndItsHintIsTheCommandThatMendsIt) {
  for (const Words& tiles : {Words{}, Words{"--tile", "64,32"}, Words{"--config", "64x48,w2,s3,qreg"}}) {
    const TemporaryDirectory directory;
    const Words wanted = selection("compile", tiles);
    const Outcome miss = run_command_line(directory, wanted, {{"FLASHMASK_NO_JIT", "1"}});
    EXPECT_EQ(miss.exit_code, 5);
    EXPECT_EQ(miss.out, "");
    const std::string told = miss.err;
    const std::size_t start = told.find("flashmask compile ");
    ASSERT_NE(start, std::string::npos) << told;
    Words words;
    std::istringstream stream(told.substr(start, told.find_first_of("\n`'\"", start) - start));
    for (std::string word; stream >> word;) words.push_back(word);
    words.erase(words.begin());
    const Outcome mended = run_command_line(directory, words);
    ASSERT_EQ(mended.exit_code, 0) << mended.err;
    EXPECT_EQ(run_command_line(directory, wanted, {{"FLASHMASK_NO_JIT", "1"}}).exit_code, 0) << told;
  }
}

TEST(CommandCompile, ACacheThatCannotBeUsedIsOneWarning) {
  const TemporaryDirectory directory;
  write_file(directory / "file", "in the way");
  const Outcome outcome = run_command_line(directory, selection("compile", {"--json"}),
                                           {{"FLASHMASK_CACHE_DIR", directory / "file/cache"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).at("stored"), false);
  const std::string& err = outcome.err;
  const std::size_t warning = err.find("warning");
  ASSERT_NE(warning, std::string::npos) << err;
  EXPECT_EQ(err.find("warning", warning + 1), std::string::npos) << err;
}

TEST(CommandCompile, ATileIsPartOfTheKernel) {
  const TemporaryDirectory directory;
  const json usual = json::parse(run_command_line(directory, selection("compile", {"--json"})).out);
  const json tiled = json::parse(run_command_line(directory, selection("compile", {"--json", "--tile", "32,32"})).out);
  EXPECT_EQ(tiled.at("config").at("tile_q"), 32);
  EXPECT_EQ(tiled.at("config").at("tile_k"), 32);
  EXPECT_NE(usual.at("digest"), tiled.at("digest"));
}

TEST(CommandInspect, ShowsTheTextWithoutACompiler) {
  const TemporaryDirectory directory;
  const Outcome outcome =
      run_command_line(directory, selection("inspect", {"--source"}), {{"FLASHMASK_NVRTC", "/nonexistent"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("__global__"), Not(HasSubstr("#include"))));
}

TEST(CommandInspect, ShowsThePtxAndTheResources) {
  const TemporaryDirectory directory;
  EXPECT_THAT(run_command_line(directory, selection("inspect", {"--ptx"})).out, HasSubstr(".target sm_80"));
  EXPECT_THAT(
      run_command_line(directory, selection("inspect", {"--resources"})).out,
      AllOf(HasSubstr("registers "), HasSubstr("spills "), HasSubstr("shared memory "), HasSubstr("occupancy ")));
  const json all = json::parse(
      run_command_line(directory, selection("inspect", {"--source", "--ptx", "--resources", "--json"})).out);
  EXPECT_EQ(all.at("schema"), 1);
  EXPECT_GT(all.at("source").get<std::string>().size(), 1000u);
  EXPECT_GT(all.at("ptx").get<std::string>().size(), 1000u);
  EXPECT_GT(all.at("resources").at("estimate").at("ctas_per_multiprocessor"), 0);
}

TEST(CommandInspect, ShowsTheOrderOfInstructionsOfAHopperKernel) {
  const TemporaryDirectory directory;
  Words words = selection("inspect", {"--sass-order"});
  words[10] = "sm_90";
  const Outcome text = run_command_line(directory, words);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("entry          flashmask_forward_bf16_d64_c1_"), HasSubstr("mma.sync (M)"),
                              HasSubstr("local memory not touched"), HasSubstr(" | LDSM")));
  words.insert(words.end(), {"--resources", "--json"});
  const json all = json::parse(run_command_line(directory, words).out);
  EXPECT_EQ(all.at("schema"), 1);
  EXPECT_TRUE(all.contains("resources"));
  const json& loop = all.at("sass_order").at("loops").at(0);
  EXPECT_LT(loop.at("begin"), loop.at("end"));
  EXPECT_EQ(loop.at("products").at("shared"), 0);
  EXPECT_EQ(loop.at("local_memory_between_products"), false);
  EXPECT_EQ(loop.at("waits"), json::array());
  int products = 0;
  for (const json& run : loop.at("runs")) products += run.at("kind") == "M" ? run.at("count").get<int>() : 0;
  EXPECT_GT(products, 0);
  EXPECT_EQ(loop.at("products").at("warp"), products);
  EXPECT_THAT(loop.at("order").get<std::string>(), HasSubstr("exp"));
}

TEST(CommandInspect, TheOrderOfInstructionsOfAnotherTargetIsUnsupported) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, selection("inspect", {"--sass-order"}));
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("sm_80"), HasSubstr("sm_90 and sm_90a"), HasSubstr("hint: ")));
}

TEST(CommandCompile, ABackwardIsAKernelOfItsOwnAndSoIsADeterministicOne) {
  const TemporaryDirectory directory;
  const auto words = [](const std::string& command, const Words& more) {
    Words result = selection(command, more);
    result[2] = "backward";
    return result;
  };
  const json forward = json::parse(run_command_line(directory, selection("compile", {"--json"})).out);
  const Outcome outcome = run_command_line(directory, words("compile", {"--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json backward = json::parse(outcome.out);
  const json deterministic =
      json::parse(run_command_line(directory, words("compile", {"--json", "--deterministic"})).out);
  EXPECT_EQ(backward.at("descriptor").at("pass"), "backward");
  EXPECT_EQ(backward.at("descriptor").at("deterministic"), false);
  EXPECT_EQ(deterministic.at("descriptor").at("deterministic"), true);
  EXPECT_NE(backward.at("digest"), forward.at("digest"));
  EXPECT_NE(backward.at("digest"), deterministic.at("digest"));
  for (const char* command : {"inspect", "explain"}) {
    const Outcome told = run_command_line(directory, words(command, {"--json", "--deterministic"}));
    ASSERT_EQ(told.exit_code, 0) << command << ": " << told.err;
    EXPECT_EQ(json::parse(told.out).at("digest"), deterministic.at("digest")) << command;
  }
  EXPECT_EQ(json::parse(run_command_line(directory, words("explain", {"--json", "--deterministic"})).out).at("origin"),
            "disk");
  EXPECT_THAT(run_command_line(directory, words("explain", {})).out,
              HasSubstr("kernel      backward bf16 d64 c1 bottom-right sm_80\n"));
  EXPECT_THAT(run_command_line(directory, words("inspect", {"--source"})).out, HasSubstr("__global__"));
}

TEST(CommandCompile, UnderNoJitTheHintOfADeterministicBackwardMendsTheMiss) {
  const TemporaryDirectory directory;
  Words words = selection("compile", {"--deterministic"});
  words[2] = "backward";
  const Outcome miss = run_command_line(directory, words, {{"FLASHMASK_NO_JIT", "1"}});
  EXPECT_EQ(miss.exit_code, 5);
  EXPECT_THAT(miss.err,
              HasSubstr("flashmask compile --pass backward --dtype bf16 --head-dim 64 --form c1 --target sm_80 "
                        "--deterministic"));
}

TEST(CommandDoctor, TellsWhatItFoundWhere) {
  const TemporaryDirectory directory;
  const Outcome text = run_command_line(directory, {"doctor"});
  EXPECT_EQ(text.exit_code, 0) << text.out << text.err;
  EXPECT_THAT(text.out, HasSubstr((directory / "cache").string()));
  const json found = json::parse(run_command_line(directory, {"doctor", "--json"}).out);
  EXPECT_EQ(found.at("schema"), 1);
  EXPECT_EQ(found.at("ok"), true);
  EXPECT_GE(found.at("findings").size(), 4u);
}

TEST(CommandVersion, IsPrintedAlone) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, {"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, ::testing::MatchesRegex("flashmask [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace flashmask::test
