// The built command on the cache: what it lists, checks, removes, packs and unpacks, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/child_command.h"

namespace flashmask::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

/// A cache in which there are two small kernels.
class CommandCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* form : {"f2", "c1"}) {
      const Outcome compiled = run(kernel("compile", form, {"--json"}));
      ASSERT_EQ(compiled.exit_code, 0) << compiled.err;
      digests_.push_back(json::parse(compiled.out).at("digest"));
    }
  }
  static Words kernel(const std::string& command, const std::string& form, const Words& more = {}) {
    Words words = {command, "--pass", "mask-plan", "--form", form, "--target", "sm_80"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Outcome run(const Words& words, const Environment& environment = {}) const {
    return run_command_line(directory_, words, environment);
  }
  json told(Words words, const Environment& environment = {}) const {
    words.push_back("--json");
    const Outcome outcome = run(words, environment);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out);
  }
  std::string file_of(const std::string& digest) const {
    return told({"cache", "show", digest}).at("entries").at(0).at("place");
  }
  Environment elsewhere() const { return {{"FLASHMASK_CACHE_DIR", directory_ / "elsewhere"}}; }

  TemporaryDirectory directory_;
  std::string pack_ = directory_ / "kernels.pack";
  std::vector<std::string> digests_;
};

TEST_F(CommandCacheTest, ListsShowsAndCountsWhatWasCompiled) {
  const json list = told({"cache", "list"});
  EXPECT_EQ(list.at("schema"), 1);
  EXPECT_EQ(list.at("command"), "cache list");
  EXPECT_EQ(list.at("count"), 2);
  EXPECT_EQ(list.at("broken"), 0);
  for (const json& entry : list.at("entries")) {
    EXPECT_EQ(entry.at("sound"), true);
    EXPECT_EQ(entry.at("descriptor").at("pass"), "mask-plan");
    EXPECT_EQ(entry.at("descriptor").at("target"), "sm_80");
    EXPECT_GT(entry.at("resources").at("registers"), 0);
    EXPECT_EQ(entry.at("has_ptx"), true);
    EXPECT_THAT(entry.at("last_used").get<std::string>(), ::testing::EndsWith("Z"));
    EXPECT_EQ(fs::file_size(entry.at("place").get<std::string>()), entry.at("bytes"));
  }
  const Outcome table = run({"cache", "list"});
  EXPECT_THAT(table.out, AllOf(HasSubstr("digest"), HasSubstr(digests_[0].substr(0, 12)), HasSubstr("mask-plan c1"),
                               HasSubstr("nvrtc-"), HasSubstr("2 entries of ")));

  const Outcome shown = run({"cache", "show", digests_[1].substr(0, 8)});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr(digests_[1]), HasSubstr("mask-plan c1"), HasSubstr("registers"),
                               HasSubstr("compiled      by nvrtc "), HasSubstr("log\n")));
  const json stats = told({"cache", "stats"});
  EXPECT_EQ(stats.at("by_target").at("sm_80").at("count"), 2);
  EXPECT_EQ(stats.at("by_pass").at("mask-plan").at("bytes"), stats.at("bytes"));
  EXPECT_EQ(stats.at("by_toolchain").size(), 1u);
  EXPECT_EQ(stats.at("limit_bytes"), std::uint64_t{2} << 30);
  EXPECT_EQ(told({"cache", "stats"}, {{"FLASHMASK_CACHE_SIZE", "unlimited"}}).at("limit_bytes"), nullptr);
  EXPECT_THAT(run({"cache", "stats"}).out, AllOf(HasSubstr("2 entries of "), HasSubstr("limit         2048.0 MiB")));
}

TEST_F(CommandCacheTest, APackServesWithoutACompilerAndExplainAndDoctorNameIt) {
  const Outcome exported = run({"cache", "export", "-o", pack_});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("2 kernels"));
  Environment strict = elsewhere();
  strict["FLASHMASK_PACKS"] = pack_;
  strict["FLASHMASK_NO_JIT"] = "1";
  strict["FLASHMASK_NVRTC"] = "/nonexistent/libnvrtc.so.13";
  const json compiled = told(kernel("compile", "c1"), strict);
  EXPECT_EQ(compiled.at("origin"), "pack");
  EXPECT_EQ(compiled.at("digest"), digests_[1]);
  const json explained = told(kernel("explain", "c1"), strict);
  EXPECT_EQ(explained.at("origin"), "pack");
  EXPECT_EQ(explained.at("cache").at("pack"), pack_);
  EXPECT_THAT(run(kernel("explain", "c1"), strict).out, AllOf(HasSubstr("origin      pack"), HasSubstr(pack_)));
  EXPECT_THAT(run({"doctor"}, strict).out, HasSubstr(pack_ + ": 2 entries"));
  EXPECT_EQ(told({"cache", "list", "--pack", pack_}).at("count"), 2);

  EXPECT_EQ(told(kernel("explain", "f4"), strict).at("nearest").at("differences").at(0).at("field"), "mask_form");
  EXPECT_THAT(run(kernel("explain", "f4"), strict).out, HasSubstr("mask_form = f2, not f4"));
  const Outcome missing = run(kernel("compile", "f4"), strict);
  EXPECT_EQ(missing.exit_code, 5);
  EXPECT_THAT(missing.err, HasSubstr("the pack " + pack_));
  fs::permissions(pack_, fs::perms::owner_all | fs::perms::group_all);
  const Outcome loose = run(kernel("compile", "c1"), strict);
  EXPECT_EQ(loose.exit_code, 5);
  EXPECT_THAT(loose.err, HasSubstr("chmod go-w '" + pack_ + "'"));
}

TEST_F(CommandCacheTest, APackIsImportedOnceAndItsKernelsStay) {
  ASSERT_EQ(run({"cache", "export", "-o", pack_}).exit_code, 0);
  EXPECT_EQ(told({"cache", "import", pack_}).at("present"), 2);
  const json imported = told({"cache", "import", pack_}, elsewhere());
  EXPECT_EQ(imported.at("stored"), 2);
  EXPECT_EQ(imported.at("failures").size(), 0u);
  const std::string again = directory_ / "again.pack";
  ASSERT_EQ(run({"cache", "export", "-o", again}, elsewhere()).exit_code, 0);
  EXPECT_EQ(read_file(again), read_file(pack_));
  Environment strict = elsewhere();
  strict["FLASHMASK_NO_JIT"] = "1";
  EXPECT_EQ(told(kernel("compile", "c1"), strict).at("origin"), "disk");
}

TEST_F(CommandCacheTest, AnExportMayLeaveOutThePtxAndOtherTargets) {
  ASSERT_EQ(run({"cache", "export", "-o", pack_, "--drop-ptx", "--target", "sm_80"}).exit_code, 0);
  const json listed = told({"cache", "list", "--pack", pack_});
  EXPECT_FALSE(listed.at("entries").empty());
  for (const json& entry : listed.at("entries")) EXPECT_EQ(entry.at("has_ptx"), false);
  const Outcome nothing = run({"cache", "export", "-o", directory_ / "none.pack", "--target", "sm_90a"});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_THAT(nothing.err, HasSubstr("nothing to export"));
  EXPECT_FALSE(fs::exists(directory_ / "none.pack"));
}

TEST_F(CommandCacheTest, WhatCannotBeImportedIsToldWithItsExitCode) {
  ASSERT_EQ(run({"cache", "export", "-o", pack_}).exit_code, 0);
  const std::string good = read_file(pack_);
  const auto import_of = [&](const std::string& bytes) {
    std::ofstream(pack_, std::ios::binary | std::ios::trunc) << bytes;
    return run({"cache", "import", pack_}, elsewhere());
  };
  std::string newer = good;
  newer[std::string_view("flashmask-pack ").size()] = '2';
  const Outcome of_newer = import_of(newer);
  EXPECT_EQ(of_newer.exit_code, 4);
  EXPECT_THAT(of_newer.err, AllOf(HasSubstr("version 2"), HasSubstr("reads version 1"), HasSubstr("newer library")));
  const Outcome of_cut = import_of(good.substr(0, good.size() - 1));
  EXPECT_EQ(of_cut.exit_code, 2);
  EXPECT_THAT(of_cut.err, AllOf(HasSubstr(pack_), HasSubstr("truncated")));
  std::string flipped = good;
  flipped[good.size() - 100] = static_cast<char>(flipped[good.size() - 100] ^ 1);
  const Outcome of_flipped = import_of(flipped);
  EXPECT_EQ(of_flipped.exit_code, 2);
  EXPECT_THAT(of_flipped.err, AllOf(HasSubstr("nothing was imported"), HasSubstr("1 of 2")));
  EXPECT_EQ(import_of("#!/bin/sh\n").exit_code, 2);
  EXPECT_EQ(run({"cache", "import", directory_ / "absent.pack"}, elsewhere()).exit_code, 1);
  EXPECT_FALSE(fs::exists(directory_ / "elsewhere"));
  import_of(good);
  const Outcome of_other_target = run({"cache", "import", pack_, "--target", "sm_90a"}, elsewhere());
  EXPECT_EQ(of_other_target.exit_code, 4);
  EXPECT_THAT(of_other_target.err, AllOf(HasSubstr("sm_80"), HasSubstr("sm_90a")));
}

TEST_F(CommandCacheTest, VerifyFindsWhatIsBrokenAndRemovesItWhenAsked) {
  EXPECT_EQ(run({"cache", "verify"}).exit_code, 0);
  const std::string file = file_of(digests_[0]);
  fs::resize_file(file, 200);
  const Outcome broken = run({"cache", "verify"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.out, AllOf(HasSubstr(file), HasSubstr("truncated"), HasSubstr("1 sound, 1 broken")));
  EXPECT_TRUE(fs::exists(file));
  const Outcome removed = run({"cache", "verify", "--remove", "--json"});
  EXPECT_EQ(removed.exit_code, 0) << removed.out;
  EXPECT_EQ(json::parse(removed.out).at("removed").at("files"), 1);
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(told({"cache", "list"}).at("count"), 1);
}

TEST_F(CommandCacheTest, VerifyByRebuildGetsTheSameBytes) {
  const json verified = told({"cache", "verify", "--rebuild"});
  ASSERT_EQ(verified.at("rebuilt").size(), 2u);
  for (const json& each : verified.at("rebuilt")) EXPECT_EQ(each.at("outcome"), "equal") << each;
  const Outcome without = run({"cache", "verify", "--rebuild"}, {{"FLASHMASK_NVRTC", "/nonexistent/libnvrtc.so.13"}});
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_THAT(without.err, HasSubstr("NVRTC"));
}

TEST_F(CommandCacheTest, CollectsToASizeAndClearsOnlyWhenTold) {
  const json all = told({"cache", "stats"});
  EXPECT_EQ(told({"cache", "gc"}).at("files"), 0);
  EXPECT_EQ(run({"cache", "gc"}, {{"FLASHMASK_CACHE_SIZE", "unlimited"}}).exit_code, 2);
  EXPECT_EQ(run({"cache", "clear"}).exit_code, 2);
  EXPECT_EQ(told({"cache", "stats"}).at("count"), 2);
  EXPECT_EQ(told({"cache", "gc", "--size", "1KiB"}).at("bytes"), all.at("bytes"));
  EXPECT_EQ(run(kernel("compile", "c1")).exit_code, 0);
  EXPECT_EQ(told({"cache", "clear", "--yes"}).at("files"), 1);
  EXPECT_EQ(told({"cache", "list"}).at("count"), 0);
}

TEST_F(CommandCacheTest, ExtractsAnImage) {
  const std::string output = directory_ / "kernel.cubin";
  ASSERT_EQ(run({"cache", "extract", digests_[1].substr(0, 10), "cubin", "-o", output}).exit_code, 0);
  EXPECT_THAT(read_file(output), ::testing::StartsWith("\x7f"
                                                       "ELF"));
  ASSERT_EQ(run({"cache", "extract", digests_[1].substr(0, 10), "ptx", "-o", output}).exit_code, 0);
  EXPECT_THAT(read_file(output), HasSubstr(".target sm_80"));
  const Outcome none = run({"cache", "extract", digests_[1], "sass", "-o", output});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, AllOf(HasSubstr("sass"), HasSubstr("cubin, ptx")));
}

TEST_F(CommandCacheTest, BadInputIsAnErrorThatSaysWhatIsAllowed) {
  const std::string out = directory_ / "x";
  const std::pair<Words, std::pair<int, const char*>> cases[] = {
      {{"cache"}, {2, "list, show, stats, verify, gc, clear, extract, export or import"}},
      {{"cache", "sweep"}, {2, "sweep"}},
      {{"cache", "show"}, {2, "DIGEST"}},
      {{"cache", "show", "abc"}, {2, "4 to 64 hexadecimal digits"}},
      {{"cache", "show", "../../../etc/passwd"}, {2, "hexadecimal"}},
      {{"cache", "show", "00000000000000000000"}, {1, "no kernel in"}},
      {{"cache", "gc", "--size", "5"}, {2, "512MiB"}},
      {{"cache", "gc", "--size", "-1MiB"}, {2, "512MiB"}},
      {{"cache", "clear"}, {2, "--yes"}},
      {{"cache", "export"}, {2, "--output"}},
      {{"cache", "export", "-o", directory_ / "no/such/x.pack"}, {2, "existing directory"}},
      {{"cache", "export", "-o", directory_.path().string()}, {2, "name of a file"}},
      {{"cache", "export", "-o", out, "--target", "sm_1"}, {2, "sm_1"}},
      {{"cache", "import"}, {2, "FILE"}},
      {{"cache", "import", out, "--target", "hopper"}, {2, "hopper"}},
      {{"cache", "verify", "--pack", out, "--rebuild"}, {2, "only read"}},
      {{"cache", "list", "--pack", out}, {1, "No such file"}},
      {{"cache", "extract", "abcdef", "cubin"}, {2, "--output"}},
  };
  for (const auto& [words, expected] : cases) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, expected.first) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("flashmask: error: "), HasSubstr(expected.second)))
        << ::testing::PrintToString(words);
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(run({"cache", "list"}, {{"FLASHMASK_CACHE_DIR", "off"}}).exit_code, 1);
  const Outcome relative = run({"cache", "list"}, {{"FLASHMASK_PACKS", "kernels.pack"}});
  EXPECT_EQ(relative.exit_code, 2);
  EXPECT_THAT(relative.err, HasSubstr("FLASHMASK_PACKS"));
}

TEST_F(CommandCacheTest, AnExportThatIsInterruptedLeavesNothingBehind) {
  // PackFileTest stops an export at each of its steps. Here a signal has to meet the command in the middle of one: it
  // is sent as soon as the file is begun, and again in another run where the command was done before it came.
  constexpr int kMostRuns = 500;
  const fs::path folder = directory_ / "packs";
  const std::string pack = folder / "kernels.pack";
  fs::create_directory(folder);
  int interrupted = 0, runs = 0;
  while (interrupted < 3 && runs++ < kMostRuns) {
    ChildCommand child(directory_, {"cache", "export", "-o", pack});
    while (fs::is_empty(folder) && !child.has_ended()) continue;
    child.send(SIGINT);
    const Outcome outcome = child.wait();
    if (outcome.exit_code == 130) {
      ++interrupted;
      EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
    } else {
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    }
    for (const auto& item : fs::directory_iterator(folder)) EXPECT_EQ(item.path().filename(), "kernels.pack");
    // Whole, if the signal came behind the renaming.
    if (fs::exists(pack)) {
      EXPECT_EQ(told({"cache", "list", "--pack", pack}).at("broken"), 0);
    }
    fs::remove(pack);
  }
  EXPECT_EQ(interrupted, 3) << "in " << runs << " runs";
}

TEST_F(CommandCacheTest, ASignalThatComesAtAnyTimeLeavesNoHalfPack) {
  const fs::path folder = directory_ / "packs";
  const std::string pack = folder / "kernels.pack";
  fs::create_directory(folder);
  for (int delay_us = 0; delay_us < 60'000; delay_us += 6'000) {
    ChildCommand child(directory_, {"cache", "export", "-o", pack});
    usleep(static_cast<useconds_t>(delay_us));
    child.send(SIGINT);
    const Outcome outcome = child.wait();
    // 130 also where the signal came before the command took it in hand.
    EXPECT_THAT(outcome.exit_code, AnyOf(0, 130)) << outcome.err;
    for (const auto& item : fs::directory_iterator(folder)) EXPECT_EQ(item.path().filename(), "kernels.pack");
    if (outcome.exit_code == 0) {
      EXPECT_EQ(told({"cache", "list", "--pack", pack}).at("broken"), 0);
    }
    fs::remove(pack);
  }
}

TEST_F(CommandCacheTest, AnExportIntoAFolderThatCannotBeWrittenLeavesThePackOfBefore) {
  if (geteuid() == 0) {
    // Root writes everywhere; a full device is one that it cannot write.
    const Outcome full = run({"cache", "export", "-o", "/dev/full/kernels.pack"});
    EXPECT_NE(full.exit_code, 0);
  }
  ASSERT_EQ(run({"cache", "export", "-o", pack_}).exit_code, 0);
  const std::string before = read_file(pack_);
  fs::resize_file(file_of(digests_[0]), 200);
  const Outcome outcome = run({"cache", "export", "-o", pack_, "--target", "sm_90a"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(read_file(pack_), before);
  const Outcome without_broken = run({"cache", "export", "-o", pack_});
  EXPECT_EQ(without_broken.exit_code, 0);
  EXPECT_THAT(without_broken.err, HasSubstr("1 broken files were left out"));
  EXPECT_EQ(told({"cache", "list", "--pack", pack_}).at("count"), 1);
}

}  // namespace
}  // namespace flashmask::test
