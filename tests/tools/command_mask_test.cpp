// The built command on masks: pictures, counts, tensors that come back, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "flashmask/mask_kinds.h"
#include "tests/tools/child_command.h"
#include "tests/tools/random_problem.h"
#include "tests/tools/raw_safetensors.h"
#include "tools/safetensors/reader.h"
#include "tools/safetensors/writer.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kDocuments = {"causal-documents", "--seqlen-k", "8", "--param", "document-lengths=5,3"};

/// The kind with its example.
Words example(const MaskKind& kind) {
  Words words = {std::string(kind.name), "--seqlen-q", std::to_string(kind.example_seqlen_q), "--seqlen-k",
                 std::to_string(kind.example_seqlen_k)};
  for (const auto& [name, value] : kind.example_arguments()) words = words + Words{"--param", name + "=" + value};
  return words;
}

json shown(const TemporaryDirectory& directory, const Words& words) {
  const Outcome outcome = run_command_line(directory, Words{"mask", "show", "--json"} + words);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return json::parse(outcome.out);
}

TEST(CommandMaskShow, DrawsAKnownMask) {
  const TemporaryDirectory directory;
  const Outcome outcome =
      run_command_line(directory, Words{"mask", "show"} + kDocuments + Words{"--tile", "2,2"}, {{"COLUMNS", "100"}});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out,
            "mask      causal-documents: a row sees the keys of its own document up to itself\n"
            "held as   c1 bottom-right, 8 queries x 8 keys, batch 1, 1 mask head\n"
            "tiles     4 x 4 of 2 x 2: 1 full, 7 partial, 8 empty\n"
            "visible   21 of 64 pairs of a row and a key (32.8 %)\n"
            "saved     50.0 % of the work: empty tiles are skipped\n"
            "load      of a row of tiles: least 1.25, median 2.5, most 3.75 (a full tile 1, a partial one 1.25)\n"
            "\n"
            "┌────────┐\n"
            "│░░      │ ██▊\n"
            "│██░░    │ ████▉\n"
            "│░░░░░░  │ ████████\n"
            "│    ░░░░│ █████▍\n"
            "└────────┘\n"
            "██ full, ░░ partial, blank empty; bars: load\n");
}

TEST(CommandMaskShow, TellsAProgramTheSame) {
  const TemporaryDirectory directory;
  const json report = shown(directory, kDocuments + Words{"--tile", "2,2"});
  EXPECT_EQ(report.at("schema"), 1);
  EXPECT_EQ(report.at("command"), "mask show");
  EXPECT_EQ(report.at("mask").at("kind"), "causal-documents");
  EXPECT_EQ(report.at("mask").at("parameters").at("document-lengths"), "5,3");
  EXPECT_EQ(report.at("mask").at("form"), "c1");
  const json& drawn = report.at("drawn");
  EXPECT_EQ(drawn.at("full"), 1);
  EXPECT_EQ(drawn.at("partial"), 7);
  EXPECT_EQ(drawn.at("empty"), 8);
  EXPECT_EQ(drawn.at("work_saved"), 0.5);
  EXPECT_EQ(drawn.at("visible_pairs"), 21);
  EXPECT_EQ(drawn.at("row_load"), json({5, 9, 15, 10}));
  EXPECT_EQ(drawn.at("classes"), json({"p...", "fp..", "ppp.", "..pp"}));
  EXPECT_EQ(report.at("all").at("visible_pairs"), 21);
}

TEST(CommandMaskShow, FitsTheTerminalAndSaysSo) {
  const TemporaryDirectory directory;
  const Words words = {"mask", "show", "causal", "--seqlen-k", "8192"};
  const auto widest_line_of_picture = [](const std::string& text) {
    std::istringstream lines(text.substr(text.find("┌")));
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) {
      std::size_t characters = 0;
      for (const char byte : line) characters += (byte & 0xC0) != 0x80;
      widest = std::max(widest, characters);
    }
    return widest;
  };
  const Outcome narrow = run_command_line(directory, words, {{"COLUMNS", "60"}});
  EXPECT_THAT(narrow.out, HasSubstr("scale     3 x 3 tiles per sign"));
  EXPECT_LE(widest_line_of_picture(narrow.out), 60u);
  const Outcome wide = run_command_line(directory, words, {{"COLUMNS", "160"}});
  EXPECT_THAT(wide.out, AllOf(Not(HasSubstr("scale ")), HasSubstr("tiles     64 x 64 of 128 x 128")));
  for (const char* columns : {"", "0", "-4", "wide", "99999999999"}) {
    EXPECT_LE(widest_line_of_picture(run_command_line(directory, words, {{"COLUMNS", columns}}).out), 80u) << columns;
  }
}

TEST(CommandMaskShow, ShortMasksHaveSmallerTiles) {
  const TemporaryDirectory directory;
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-k", "2048"}).at("tile").at("tile_q"), 128);
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-k", "2047"}).at("tile").at("tile_q"), 64);
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-k", "1"}).at("tile").at("tile_q"), 1);
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-q", "3", "--seqlen-k", "512"}).at("tile").at("tile_k"), 32);
}

TEST(CommandMaskShow, OneLengthStandsForBoth) {
  const TemporaryDirectory directory;
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-q", "7"}).at("mask").at("seqlen_k"), 7);
  EXPECT_EQ(shown(directory, {"causal", "--seqlen-k", "7"}).at("mask").at("seqlen_q"), 7);
}

TEST(CommandMaskShow, WritesAPicture) {
  const TemporaryDirectory directory;
  const std::string picture = directory / "mask.svg";
  const Outcome outcome = run_command_line(directory, Words{"mask", "show"} + kDocuments + Words{"-o", picture});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("picture   " + picture));
  EXPECT_THAT(read_file(picture), AllOf(StartsWith("<svg "), HasSubstr("<title>causal-documents</title>")));
}

TEST(CommandMaskShow, DrawsTheEntryAndHeadAskedAndCountsAll) {
  const TemporaryDirectory directory;
  const std::string file = directory / "mask.safetensors";
  const std::vector<std::int32_t> ends = {1, 2, 3, 4,  //
                                          4, 4, 4, 4,  //
                                          2, 2, 4, 4,  //
                                          4, 4, 4, 4};
  safetensors::Writer writer;
  writer.add("startend_row_indices", safetensors::ElementType::kI32, {2, 2, 4, 1}, std::as_bytes(std::span(ends)));
  writer.save(file);
  const json first = shown(directory, {file, "--causal"});
  EXPECT_EQ(first.at("drawn").at("visible_pairs"), 4);
  EXPECT_EQ(first.at("all").at("visible_pairs"), 4 + 10 + 6 + 10);
  EXPECT_EQ(first.at("all").at("pairs"), 64);
  EXPECT_EQ(shown(directory, {file, "--causal", "--batch-entry", "1"}).at("drawn").at("visible_pairs"), 6);
  EXPECT_EQ(shown(directory, {file, "--causal", "--head", "1"}).at("drawn").at("visible_pairs"), 10);
  const Outcome text = run_command_line(directory, {"mask", "show", file, "--causal", "--batch-entry", "1"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("drawn     batch entry 1, mask head 0"), HasSubstr("all       30 full")));
}

TEST(CommandMaskBuild, EveryKindComesBackFromItsFile) {
  const TemporaryDirectory directory;
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(kind.name);
    const std::string file = directory / (std::string(kind.name) + ".safetensors");
    const Outcome built = run_command_line(directory, Words{"mask", "build"} + example(kind) + Words{"-o", file});
    ASSERT_EQ(built.exit_code, 0) << built.err;
    const json of_kind = shown(directory, example(kind)), of_file = shown(directory, {file});
    EXPECT_EQ(of_kind.at("drawn"), of_file.at("drawn"));
    EXPECT_EQ(of_kind.at("mask").at("seqlen_q"), of_file.at("mask").at("seqlen_q"));
  }
}

TEST(CommandMaskBuild, ReportsWhatItWroteAndForWhichRun) {
  const TemporaryDirectory directory;
  const std::string file = directory / "mask.safetensors";
  const Outcome text = run_command_line(
      directory, Words{"mask", "build"} + kDocuments + Words{"--batch", "2", "--heads", "3", "-o", file});
  EXPECT_THAT(text.out, AllOf(HasSubstr("startend_row_indices [2, 3, 8, 1]"), HasSubstr("output    " + file),
                              HasSubstr("flashmask run IN -o OUT --causal\n")));
  const Outcome machine = run_command_line(directory, {"mask", "build", "causal", "--seqlen-k", "8", "--param",
                                                       "causal-alignment=top-left", "--json", "-o", file});
  const json report = json::parse(machine.out);
  EXPECT_EQ(report.at("command"), "mask build");
  EXPECT_EQ(report.at("mask").at("form"), "c1");
  EXPECT_EQ(report.at("mask").at("causal_alignment"), "top-left");
}

TEST(CommandMaskBuild, RunTakesTheTensor) {
  const TemporaryDirectory directory;
  const std::string mask = directory / "mask.safetensors", input = directory / "in.safetensors";
  ASSERT_EQ(run_command_line(directory, {"mask", "build", "causal-documents", "--seqlen-k", "40", "--param",
                                         "document-lengths=17,23", "-o", mask})
                .exit_code,
            0);
  write_problem({}, input);
  safetensors::Writer writer;
  std::vector<std::vector<std::byte>> data;
  for (const std::string& file : {mask, input}) {
    const safetensors::Reader reader(file);
    for (const safetensors::TensorInfo& tensor : reader.layout().tensors) {
      reader.read(tensor, data.emplace_back(tensor.bytes()));
      writer.add(tensor.name, tensor.type, tensor.shape, data.back());
    }
  }
  writer.save(input);
  const Outcome outcome = run_command_line(
      directory, {"run", input, "-o", directory / "out", "--causal", "--device", "emulator", "--verify"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr(" c1 "), HasSubstr("verify    passed")));
  EXPECT_EQ(shown(directory, {input, "--causal"}).at("drawn").at("visible_pairs"), (17 * 18 + 23 * 24) / 2);
}

TEST(CommandMaskList, HasEveryKindAndParameter) {
  const TemporaryDirectory directory;
  const std::string text = run_command_line(directory, {"mask", "list"}).out;
  const json kinds = json::parse(run_command_line(directory, {"mask", "list", "--json"}).out).at("kinds");
  ASSERT_EQ(kinds.size(), mask_kinds().size());
  for (std::size_t n = 0; n < kinds.size(); ++n) {
    const MaskKind& kind = mask_kinds()[n];
    EXPECT_EQ(kinds[n].at("name"), kind.name);
    EXPECT_THAT(text, HasSubstr("  " + std::string(kind.name) + " "));
    ASSERT_EQ(kinds[n].at("parameters").size(), kind.parameters.size());
    for (const MaskParameter& parameter : kind.parameters) {
      EXPECT_THAT(text, HasSubstr(std::string(parameter.name) + "=" +
                                  std::string(parameter.required ? parameter.example : parameter.default_value)));
    }
  }
}

struct BadWords {
  Words words;
  std::string rule;
};

TEST(CommandMask, WhatIsWrongIsExitCodeTwoWithTheRule) {
  const TemporaryDirectory directory;
  const std::string file = directory / "mask.safetensors", broken = directory / "broken.safetensors";
  ASSERT_EQ(run_command_line(directory, Words{"mask", "build"} + kDocuments + Words{"-o", file}).exit_code, 0);
  write_file(broken, raw_safetensors("{", 0));
  const Words documents = {"show", "documents", "--seqlen-k", "16", "--param"};
  for (const BadWords& bad : std::vector<BadWords>{
           {{}, "show, build or list is needed"},
           {{"draw"}, "draw"},
           {{"show"}, "required"},
           {{"show", "stripes", "--seqlen-k", "16"}, "known are full, causal, window"},
           {{"show", "causal"}, "--seqlen-k"},
           {{"show", "causal", "--seqlen-k", "0"}, "--seqlen-k 0: an integer from 1 to 536870912"},
           {{"show", "causal", "--seqlen-q", "many"}, "--seqlen-q many"},
           {{"show", "causal", "--seqlen-k", "16", "--tile", "0,4"}, "--tile 0,4"},
           {{"show", "causal", "--seqlen-k", "16", "--head", "1"}, "--head 1: the mask has 1 mask heads"},
           {{"show", "causal", "--seqlen-k", "16", "--batch-entry", "-1"}, "--batch-entry -1"},
           {{"show", "causal", "--seqlen-k", "16", "--causal"}, "--causal: it belongs to files"},
           {{"show", "causal", "--seqlen-k", "16", "--causal-alignment", "top-left"}, "it belongs to files"},
           {{"show", "causal", "--seqlen-k", "16", "-o", directory / "no/such/folder.svg"}, "existing directory"},
           {documents + Words{"stripes=3"}, "the parameters of documents are document-lengths"},
           {documents + Words{"document-lengths"}, "NAME=VALUE is needed"},
           {documents + Words{"=3"}, "NAME=VALUE is needed"},
           {documents + Words{"document-lengths=16", "--param", "document-lengths=16"}, "was given before"},
           {documents + Words{"document-lengths=7,8"}, "sum up to 15"},
           {documents + Words{"document-lengths=7,x"}, "a list of integers"},
           {{"show", "documents", "--seqlen-k", "16"}, "needs the parameter document-lengths"},
           {{"show", "image-spans", "--seqlen-k", "16", "--param", "images=2:6,5:9"}, "overlap"},
           {{"show", "window", "--seqlen-k", "16", "--param", "left=-2", "--param", "right=0"}, "-2"},
           {{"show", "sliding-window", "--seqlen-k", "16", "--param", "window=-4"}, "-4"},
           {{"show", directory / "none.safetensors"}, "cannot be opened"},
           {{"show", broken}, "broken.safetensors"},
           {{"show", file, "--seqlen-q", "9"}, "metadata seqlen_q says 8, but --seqlen-q says 9"},
           {{"show", file, "--param", "window=3"}, "a file has no parameters"},
           {{"build", "causal", "--seqlen-k", "16"}, "--output is required"},
           {{"build", file, "-o", directory / "copy"}, "known are full, causal, window"},
           {{"build", "causal", "--seqlen-k", "16", "--batch", "0", "-o", directory / "zero"}, "--batch 0"},
           {{"build", "random-eviction", "--seqlen-k", "16", "--param", "budget=4", "--param", "num-heads=2", "--heads",
             "3", "-o", directory / "heads"},
            "2"},
           {{"list", "causal"}, "causal"},
       }) {
    const Outcome outcome = run_command_line(directory, Words{"mask"} + bad.words);
    EXPECT_EQ(outcome.exit_code, 2) << bad.rule << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("flashmask: error: "), HasSubstr(bad.rule)));
    EXPECT_EQ(outcome.out, "") << bad.rule;
  }
  EXPECT_EQ(directory.number_of_files(), 2u) << "nothing but what this test wrote is left";
}

TEST(CommandMask, APathIsAFileWhateverItIsCalled) {
  const TemporaryDirectory directory;
  const std::string file = directory / "mask";  // a path: no kind is called like that
  ASSERT_EQ(run_command_line(directory, Words{"mask", "build"} + kDocuments + Words{"-o", file}).exit_code, 0);
  EXPECT_EQ(shown(directory, {file}).at("mask").at("name"), "mask");
  EXPECT_FALSE(shown(directory, {file}).at("mask").contains("kind"));
}

}  // namespace
}  // namespace flashmask::test
