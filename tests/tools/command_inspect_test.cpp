// The built command on files: flashmask inspect FILE, and the graph and the sections of a kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/child_command.h"
#include "tests/tools/xml_check.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

const std::string kLoop =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".entry count(.param .u32 n)\n{ .reg .pred %p; .reg .b32 %r<2>;\nld.param.u32 %r0, [n];\nmov.u32 %r1, 0;\n"
    "AGAIN: add.s32 %r1, %r1, 1;\nsetp.lt.s32 %p, %r1, %r0;\n@%p bra AGAIN;\nret;\n}\n";

/// The exit code, and that nothing but an error with all of `parts` was said.
void expect_refused(const Outcome& outcome, int exit_code, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("flashmask: error: "));
  for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
}

TEST(CommandInspect, DrawsTheFlowOfAnyPtxForGraphvizOnStandardOutput) {
  const TemporaryDirectory directory;
  write_file(directory / "loop.ptx", kLoop);
  const Outcome outcome = run_command_line(directory, {"inspect", directory / "loop.ptx", "--cfg"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, AllOf(StartsWith("digraph \"count\" {"), HasSubstr("subgraph cluster_loop0"),
                                 HasSubstr("B1 -> B1 [label=\"taken\""), HasSubstr("B1 -> B2 [label=\"fallthrough\"")));
}

TEST(CommandInspect, WritesThePictureOfAFlowAndSaysWhatItShows) {
  const TemporaryDirectory directory;
  write_file(directory / "loop.ptx", kLoop);
  for (const char* name : {"loop.svg", "loop.dot", "loop.gv"}) {
    const Outcome outcome =
        run_command_line(directory, {"inspect", directory / "loop.ptx", "--cfg", "-o", directory / name});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("entry     count, sm_80\n"),
                                   HasSubstr("3 blocks, 1 loop up to depth 1, 6 instructions"), HasSubstr(name)));
  }
  const std::string svg = read_file(directory / "loop.svg");
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_THAT(svg, HasSubstr("loop 0, depth 1, header B1, 1 block"));
  EXPECT_THAT(read_file(directory / "loop.dot"), StartsWith("digraph"));
  EXPECT_EQ(read_file(directory / "loop.dot"), read_file(directory / "loop.gv"));
}

TEST(CommandInspect, TellsAFlowAsJson) {
  const TemporaryDirectory directory;
  write_file(directory / "loop.ptx", kLoop);
  const Outcome outcome = run_command_line(directory, {"inspect", directory / "loop.ptx", "--cfg", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json graph = json::parse(outcome.out).at("cfg");
  EXPECT_EQ(json::parse(outcome.out).at("schema"), 1);
  EXPECT_EQ(graph.at("entry"), "count");
  EXPECT_EQ(graph.at("blocks").size(), 3u);
  const json& block = graph.at("blocks").at(1);
  EXPECT_EQ(block.at("label"), "AGAIN");
  EXPECT_EQ(block.at("first_line"), 8);
  EXPECT_EQ(block.at("last_line"), 10);
  EXPECT_EQ(block.at("mix"), (json{{"integer", 1}, {"predicate", 1}, {"branch", 1}}));
  EXPECT_EQ(block.at("successors").at(0), (json{{"block", 1}, {"kind", "taken"}, {"back", true}}));
  EXPECT_EQ(block.at("loop"), 0);
  EXPECT_EQ(block.at("dominator"), 0);
  EXPECT_EQ(graph.at("blocks").at(2).at("exit"), "all");
  EXPECT_EQ(graph.at("loops").at(0),
            (json{{"header", 1}, {"depth", 1}, {"parent", nullptr}, {"blocks", {1}}, {"latches", {1}}}));
  EXPECT_EQ(graph.at("irreducible"), json::array());
}

TEST(CommandInspect, ChoosesOneOfSeveralEntriesByName) {
  const TemporaryDirectory directory;
  write_file(directory / "two.ptx", kLoop + ".entry other() { ret; }\n");
  const Words words = {"inspect", directory / "two.ptx", "--cfg"};
  expect_refused(run_command_line(directory, words), 2, {"several entries: count, other", "hint: "});
  Words chosen = words;
  chosen.insert(chosen.end(), {"--entry", "other"});
  EXPECT_THAT(run_command_line(directory, chosen).out, StartsWith("digraph \"other\""));
  chosen.back() = "another";
  expect_refused(run_command_line(directory, chosen), 1, {"no entry another", "count, other"});
}

TEST(CommandInspect, FilesThatAreNoPtxNoCubinOrNotThereAreRefused) {
  const TemporaryDirectory directory;
  write_file(directory / "text", "int main() {}\n");
  write_file(directory / "call.ptx", ".version 8.0\n.target sm_80\n.entry k() { call f; }\n");
  expect_refused(run_command_line(directory, {"inspect", directory / "text", "--cfg"}), 2, {"line 1, column 1"});
  expect_refused(run_command_line(directory, {"inspect", directory / "call.ptx", "--cfg"}), 4, {"line 3", "'call'"});
  expect_refused(run_command_line(directory, {"inspect", directory / "none", "--cfg"}), 2,
                 {"PTX ", "cannot be opened"});
  expect_refused(run_command_line(directory, {"inspect", directory / "text", "--sections"}), 2, {"not an ELF file"});
  expect_refused(run_command_line(directory, {"inspect", directory.path(), "--sections"}), 2, {"cannot be opened"});
}

TEST(CommandInspect, APictureThatCannotBeWrittenIsRefusedBeforeTheWork) {
  const TemporaryDirectory directory;
  write_file(directory / "text", "int main() {}\n");
  const auto output = [&](const std::string& path) {
    return run_command_line(directory, {"inspect", directory / "text", "--cfg", "-o", path});
  };
  expect_refused(output(directory / "none/x.svg"), 2, {"--output", "existing directory"});
  expect_refused(output(directory / "x.png"), 2, {"x.png", ".svg, .dot or .gv"});
  expect_refused(output(directory / "x.svg"), 2, {"line 1, column 1"});
  EXPECT_FALSE(std::filesystem::exists(directory / "x.svg"));
}

TEST(CommandInspect, ThePictureInTheGuideIsWhatItsCommandDraws) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(
      directory, {"inspect", FLASHMASK_DOCS "/control_flow.ptx", "--cfg", "-o", directory / "control_flow.svg"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(read_file(directory / "control_flow.svg"), read_file(FLASHMASK_DOCS "/control_flow.svg"))
      << "draw it again: flashmask inspect docs/control_flow.ptx --cfg -o docs/control_flow.svg";
}

TEST(CommandInspect, ShowsTheFlowAndTheSectionsOfAKernel) {
  const TemporaryDirectory directory;
  const Words kernel = {"inspect", "--pass", "forward", "--dtype",  "bf16", "--head-dim",
                        "64",      "--form", "causal",  "--target", "sm_80"};
  const auto with = [&](const Words& more) {
    Words words = kernel;
    words.insert(words.end(), more.begin(), more.end());
    return run_command_line(directory, words);
  };
  const Outcome graph = with({"--cfg", "-o", directory / "forward.svg"});
  ASSERT_EQ(graph.exit_code, 0) << graph.err;
  EXPECT_THAT(graph.out, AllOf(HasSubstr("flashmask_forward_bf16_d64_causal_"), HasSubstr("loop")));
  const std::string svg = read_file(directory / "forward.svg");
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_THAT(svg, AllOf(HasSubstr("matrix product"), HasSubstr("loop 0, depth 1")));

  const Outcome sections = with({"--sections"});
  ASSERT_EQ(sections.exit_code, 0) << sections.err;
  EXPECT_THAT(sections.out,
              AllOf(HasSubstr("cubin     sm_80, ABI "), HasSubstr(" .text.flashmask_forward_bf16_d64_causal_"),
                    HasSubstr("FUNC   GLOBAL"), HasSubstr("NVIDIA Corp"), HasSubstr("readers   ")));

  const Outcome both = with({"--cfg", "--sections", "--json"});
  ASSERT_EQ(both.exit_code, 0) << both.err;
  const json all = json::parse(both.out);
  EXPECT_GT(all.at("cfg").at("mix").at("matrix_product"), 0);
  EXPECT_EQ(all.at("cfg").at("entry"), all.at("entry"));
  EXPECT_EQ(all.at("cubin").at("compute_capability"), 80);
  EXPECT_GT(all.at("cubin").at("symbols").size(), 5u);
  const json& llvm = all.at("cubin").at("llvm");
  EXPECT_TRUE(llvm.is_null() || llvm.at("agrees") == true) << llvm;
}

}  // namespace
}  // namespace flashmask::test
