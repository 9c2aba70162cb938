// The built command on kernels of any PTX text: flashmask emulate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "tests/tools/child_command.h"
#include "tests/tools/raw_safetensors.h"
#include "tools/safetensors/reader.h"
#include "tools/safetensors/writer.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using safetensors::ElementType;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

/// A module with one entry `k`.
std::string module_of(const std::string& parameters, const std::string& body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(" + parameters + ")\n{\n" + body +
         "\nret;\n}\n";
}

/// sum[i] = a[i] + b[i] for i < n.
const std::string kVectorAdd = module_of(".param .u64 a, .param .u64 b, .param .u64 sum, .param .u32 n", R"(
  .reg .pred %p;
  .reg .b32 %i, %n, %cta, %threads;
  .reg .f32 %x, %y;
  .reg .b64 %a, %b, %sum, %offset;
  mov.u32 %cta, %ctaid.x;
  mov.u32 %threads, %ntid.x;
  mov.u32 %i, %tid.x;
  mad.lo.u32 %i, %cta, %threads, %i;
  ld.param.u32 %n, [n];
  setp.ge.u32 %p, %i, %n;
  @%p ret;
  ld.param.u64 %a, [a];
  ld.param.u64 %b, [b];
  ld.param.u64 %sum, [sum];
  mul.wide.u32 %offset, %i, 4;
  add.s64 %a, %a, %offset;
  add.s64 %b, %b, %offset;
  add.s64 %sum, %sum, %offset;
  ld.global.f32 %x, [%a];
  ld.global.f32 %y, [%b];
  add.f32 %x, %x, %y;
  st.global.f32 [%sum], %x;)");

const std::string kVectorAddSpec = R"({
  "grid": [2], "block": [64],
  "parameters": [{"buffer": "a", "dtype": "f32", "shape": [10, 10], "fill": "iota"},
                 {"buffer": "b", "dtype": "f32", "shape": [100], "fill": 0.5},
                 {"buffer": "sum", "dtype": "f32", "shape": [100]},
                 {"u32": 100}],
  "outputs": ["sum"]})";

/// Every warp takes a ticket and writes its number there, so the order of the warps is the result.
const std::string kTickets = module_of(".param .u64 counter, .param .u64 order", R"(
  .reg .pred %p;
  .reg .b32 %thread, %ticket;
  .reg .b64 %counter, %order, %offset;
  mov.u32 %thread, %tid.x;
  and.b32 %ticket, %thread, 31;
  setp.ne.u32 %p, %ticket, 0;
  @%p ret;
  ld.param.u64 %counter, [counter];
  ld.param.u64 %order, [order];
  atom.global.add.u32 %ticket, [%counter], 1;
  mul.wide.u32 %offset, %ticket, 4;
  add.s64 %order, %order, %offset;
  shr.u32 %thread, %thread, 5;
  st.global.u32 [%order], %thread;)");

const std::string kTicketsSpec = R"({
  "grid": [1], "block": [512],
  "parameters": [{"buffer": "counter", "dtype": "u32", "shape": [], "fill": 0},
                 {"buffer": "order", "dtype": "u32", "shape": [16]}]})";

/// A directory with the kernel and the spec, and the words that run them.
class Case {
 public:
  Case(const std::string& kernel, const std::string& spec) {
    write_file(directory_ / "k.ptx", kernel);
    write_file(directory_ / "spec.json", spec);
  }

  const TemporaryDirectory& directory() const { return directory_; }
  std::string operator/(const std::string& name) const { return directory_ / name; }
  Words words(const Words& more = {}) const {
    Words words = {"emulate", directory_ / "k.ptx", "--launch", directory_ / "spec.json"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Outcome run(const Words& more = {}) const { return run_command_line(directory_, words(more)); }

 private:
  TemporaryDirectory directory_;
};

template <typename Element>
std::vector<Element> read_tensor(const std::filesystem::path& path, const std::string& name) {
  const safetensors::Reader reader(path);
  const safetensors::TensorInfo* tensor = reader.find(name);
  if (tensor == nullptr) return {};
  std::vector<Element> elements(tensor->bytes() / sizeof(Element));
  reader.read(*tensor, std::as_writable_bytes(std::span(elements)));
  return elements;
}

TEST(CommandEmulate, AddsVectorsAndWritesTheSum) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const Outcome outcome = vector_add.run({"-o", vector_add / "out"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("k of "), HasSubstr("grid 2x1x1, block 64x1x1"),
                                 HasSubstr("output    \"sum\" f32 [100], min 0.5, max 99.5, 0 NaN")));
  const std::vector<float> sum = read_tensor<float>(vector_add / "out", "sum");
  ASSERT_EQ(sum.size(), 100u);
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(sum[i], static_cast<float>(i) + 0.5f);
  EXPECT_EQ(safetensors::Reader(vector_add / "out").layout().tensors.size(), 1u);
}

TEST(CommandEmulate, WritesEveryBufferWhenTheSpecNamesNoOutputs) {
  json spec = json::parse(kVectorAddSpec);
  spec.erase("outputs");
  const Case vector_add(kVectorAdd, spec.dump());
  ASSERT_EQ(vector_add.run({"-o", vector_add / "out"}).exit_code, 0);
  const safetensors::Reader reader(vector_add / "out");
  EXPECT_EQ(reader.layout().tensors.size(), 3u);
  EXPECT_EQ(reader.find("a")->shape, (std::vector<std::uint64_t>{10, 10}));
}

TEST(CommandEmulate, ReadsTheTensorsOfItsOwnFiles) {
  const Case first(kVectorAdd, kVectorAddSpec);
  ASSERT_EQ(first.run({"-o", first / "out.safetensors"}).exit_code, 0);
  // A path of the spec is relative to the spec, and a tensor of a file may be an output.
  write_file(first / "again.json", R"({"grid": [2], "block": [64],
    "parameters": [{"tensor": "sum", "file": "out.safetensors"}, {"pointer": "sum"}, {"pointer": "sum"}, {"i32": 100}],
    "outputs": ["sum"]})");
  const Outcome outcome = run_command_line(
      first.directory(), {"emulate", first / "k.ptx", "--launch", first / "again.json", "-o", first / "twice"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<float> sum = read_tensor<float>(first / "out.safetensors", "sum");
  const std::vector<float> twice = read_tensor<float>(first / "twice", "sum");
  ASSERT_EQ(twice.size(), 100u);
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(twice[i], 2 * sum[i]);
}

TEST(CommandEmulate, ReadsTheSpecFromStandardInput) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const std::string words = std::string(FLASHMASK_COMMAND " emulate '") + (vector_add / "k.ptx") + "' --launch - -o '" +
                            (vector_add / "out") + "' < '" + (vector_add / "spec.json") + "' > /dev/null";
  ASSERT_EQ(std::system(words.c_str()), 0);
  EXPECT_EQ(read_tensor<float>(vector_add / "out", "sum").size(), 100u);
}

TEST(CommandEmulate, LaysAStructOutAsCDoes) {
  // struct { signed char a; struct { double b; short c; } d; float e; const void* f; __half g; } in 48 bytes.
  const Case fields(module_of(".param .u64 out, .param .align 16 .b8 fields[48]", R"(
    .reg .b64 %out, %x;
    .reg .b32 %r;
    .reg .b16 %h;
    ld.param.u64 %out, [out];
    ld.param.s8 %h, [fields];          cvt.s64.s16 %x, %h; st.global.u64 [%out], %x;
    ld.param.u64 %x, [fields+8];       st.global.u64 [%out+8], %x;
    ld.param.s16 %h, [fields+16];      cvt.s64.s16 %x, %h; st.global.u64 [%out+16], %x;
    ld.param.u32 %r, [fields+24];      cvt.u64.u32 %x, %r; st.global.u64 [%out+24], %x;
    ld.param.u64 %x, [fields+32];      st.global.u64 [%out+32], %x;
    ld.param.u16 %h, [fields+40];      cvt.u64.u16 %x, %h; st.global.u64 [%out+40], %x;)"),
                    R"({"grid": [1], "block": [1], "parameters": [
      {"buffer": "out", "dtype": "i64", "shape": [6]},
      {"struct": [{"i8": -3}, {"struct": [{"f64": 0.5}, {"i16": -300}]}, {"f32": "inf"},
                  {"pointer": "out", "offset": 8}, {"f16": 1.5}], "align": 16}]})");
  const Outcome outcome = fields.run({"-o", fields / "out"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<std::int64_t> out = read_tensor<std::int64_t>(fields / "out", "out");
  ASSERT_EQ(out.size(), 6u);
  EXPECT_EQ(out[0], -3);
  EXPECT_EQ(out[1], 0x3fe0000000000000);
  EXPECT_EQ(out[2], -300);
  EXPECT_EQ(out[3], 0x7f800000);
  EXPECT_EQ(out[4] % 256, 8);
  EXPECT_EQ(out[5], 0x3e00);
}

TEST(CommandEmulate, FillsBuffersOfEveryType) {
  const json spec = json::parse(R"({"grid": [1], "block": [1], "parameters": [], "memory": [
    {"buffer": "halves", "dtype": "f16", "shape": [2049], "fill": "iota"},
    {"buffer": "small", "dtype": "i8", "shape": [130], "fill": "iota"},
    {"buffer": "flags", "dtype": "bool", "shape": [3], "fill": 1},
    {"buffer": "large", "dtype": "u64", "shape": [1], "fill": 18446744073709551615},
    {"buffer": "nothing", "dtype": "f64", "shape": [0, 5], "fill": 1},
    {"buffer": "nan", "dtype": "bf16", "shape": [7], "fill": "nan"},
    {"buffer": "normal", "dtype": "f32", "shape": [100, 100], "fill": {"normal": 3}},
    {"buffer": "scratch", "dtype": "f32", "shape": [4], "fill": "uninitialised"}],
    "outputs": ["halves", "small", "flags", "large", "nothing", "nan", "normal"]})");
  const Case fills(module_of("", ""), spec.dump());
  const Outcome outcome = fills.run({"--json", "-o", fills / "out"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json report = json::parse(outcome.out);
  const auto output = [&](std::size_t i) { return report.at("outputs").at(i); };
  EXPECT_EQ(output(0).at("max"), 2047);  // beyond, f16 skips integers
  EXPECT_EQ(output(1).at("max"), 127);
  EXPECT_EQ(output(2).at("min"), 1);
  EXPECT_EQ(output(3).at("max"), ~std::uint64_t{0});
  EXPECT_EQ(output(4).at("min"), nullptr);
  EXPECT_EQ(output(5).at("nan_count"), 7);
  const std::vector<float> normal = read_tensor<float>(fills / "out", "normal");
  double sum = 0, squares = 0;
  for (float value : normal) sum += value, squares += double{value} * value;
  EXPECT_NEAR(sum / 1e4, 0, 0.05);
  EXPECT_NEAR(squares / 1e4, 1, 0.1);
}

TEST(CommandEmulateSeeds, EqualSeedsGiveEqualBytes) {
  const Case tickets(kTickets, kTicketsSpec);
  std::vector<std::string> results;
  for (const char* seed : {"7", "7", "8", "9"}) {
    const Outcome outcome = tickets.run({"--seed", seed, "-o", tickets / "out"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    results.push_back(read_file(tickets / "out"));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_FALSE(results[0] == results[2] && results[0] == results[3]);
}

TEST(CommandEmulateSeeds, ARepetitionTellsWhichOutputsDependOnTheOrder) {
  const Case tickets(kTickets, kTicketsSpec);
  const Outcome text = tickets.run({"--repeat", "6"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("runs      6 in "), HasSubstr("min 16, max 16, 0 NaN; the same in every run"),
                              HasSubstr("min 0, max 15, 0 NaN; NOT the same in every run, first at element ")));
  const json report = json::parse(tickets.run({"--repeat", "6", "--json", "--seed", "3"}).out);
  EXPECT_EQ(report.at("runs").size(), 6u);
  EXPECT_EQ(report.at("runs").at(5).at("seed"), 8);
  EXPECT_EQ(report.at("outputs").at(0).at("same_in_every_run"), true);
  EXPECT_EQ(report.at("outputs").at(1).at("same_in_every_run"), false);
}

TEST(CommandEmulateSeeds, AllSchedulesAreRunAsOftenAsAsked) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const json report = json::parse(vector_add.run({"--all-schedules", "--repeat", "2", "--json"}).out);
  ASSERT_EQ(report.at("runs").size(), 10u);
  EXPECT_EQ(report.at("runs").at(0).at("schedule"), "random");
  EXPECT_EQ(report.at("runs").at(9).at("schedule"), "late-landings");
  EXPECT_EQ(report.at("outputs").at(0).at("same_in_every_run"), true);
  EXPECT_EQ(json::parse(vector_add.run({"--schedule", "reversed", "--json"}).out).at("runs").at(0).at("schedule"),
            "reversed");
}

TEST(CommandEmulateStatistics, AreATableAndPartOfTheJson) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const Outcome text = vector_add.run({"--stats"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("counts    ctas"), HasSubstr("global bytes written"), HasSubstr("st.global")));
  const json counts = json::parse(vector_add.run({"--json"}).out).at("runs").at(0).at("statistics");
  EXPECT_EQ(counts.at("ctas"), 2);
  EXPECT_EQ(counts.at("global_bytes_written"), 400);
  EXPECT_EQ(counts.at("by_class").at("st.global"), 4);
}

TEST(CommandEmulateHelp, TheExampleOfALaunchSpecIsARightOne) {
  const TemporaryDirectory directory;
  const Outcome help = run_command_line(directory, {"emulate", "--spec-help"});
  ASSERT_EQ(help.exit_code, 0) << help.err;
  const std::size_t example = help.out.rfind("\n\n  {");
  ASSERT_NE(example, std::string::npos);
  const Case vector_add(kVectorAdd, help.out.substr(example));
  const Outcome outcome = vector_add.run();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"sum\" f32 [1000]"));
}

TEST(CommandEmulateFault, IsAReportOnStandardErrorAndExitCodeSix) {
  json spec = json::parse(kVectorAddSpec);
  spec["parameters"][3]["u32"] = 101;
  const Case beyond(kVectorAdd, spec.dump());
  write_file(beyond / "out", "what was there");
  const Outcome outcome = beyond.run({"-o", beyond / "out", "--seed", "5", "--schedule", "in-order"});
  EXPECT_EQ(outcome.exit_code, 6);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(
      outcome.err,
      AllOf(StartsWith("flashmask: error: out of bounds: it reads 4 bytes"), HasSubstr("ld.global.f32"),
            HasSubstr("in CTA (1,0,0), warp 1, lane 4 (thread 36,0,0) of k"), HasSubstr("\"a\" has 400 bytes at 0x"),
            Not(HasSubstr("\"sum\" has")), HasSubstr("hint: --schedule in-order --seed 5 repeats this run")));
  EXPECT_EQ(read_file(beyond / "out"), "what was there");
  EXPECT_EQ(beyond.directory().number_of_files(), 3u);
}

TEST(CommandEmulateFault, AnOutputThatTheKernelLeftUnwrittenIsOne) {
  json spec = json::parse(kVectorAddSpec);
  spec["parameters"][3]["u32"] = 99;
  const Case unwritten(kVectorAdd, spec.dump());
  const Outcome outcome = unwritten.run({"-o", unwritten / "out"});
  EXPECT_EQ(outcome.exit_code, 6);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("output \"sum\": "), HasSubstr("byte 396 of them was never written")));
  EXPECT_FALSE(std::filesystem::exists(unwritten / "out"));
}

TEST(CommandEmulateFault, PtxThatIsUnknownOrWrongHasItsOwnExitCodes) {
  const std::string spec = R"({"grid": [1], "block": [1], "parameters": []})";
  const Outcome unknown = Case(module_of("", "frobnicate.b32 1;"), spec).run();
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_THAT(unknown.err, HasSubstr("frobnicate"));
  EXPECT_EQ(Case("this is not PTX", spec).run().exit_code, 2);
  const Outcome trapped = Case(module_of("", "trap;"), spec).run();
  EXPECT_EQ(trapped.exit_code, 6) << trapped.err;
  const Outcome large = Case(module_of("", ""), R"({"grid": [1], "block": [1025], "parameters": []})").run();
  EXPECT_EQ(large.exit_code, 2);
  EXPECT_THAT(large.err, AllOf(HasSubstr("1025"), Not(HasSubstr("hint"))));
}

TEST(CommandEmulateEntry, IsChosenByTheOptionByTheSpecOrBecauseThereIsNoOther) {
  const std::string two =
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".visible .entry first() { ret; }\n.visible .entry second() { trap; }\n";
  const std::string spec = R"({"grid": [1], "block": [1], "parameters": []})";
  const Outcome none = Case(two, spec).run();
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, AllOf(HasSubstr("first, second"), HasSubstr("--entry")));
  const Case named(two, R"({"entry": "second", "grid": [1], "block": [1], "parameters": []})");
  EXPECT_EQ(named.run().exit_code, 6);
  EXPECT_EQ(named.run({"--entry", "first"}).exit_code, 0);
  const Outcome slip = named.run({"--entry", "frist"});
  EXPECT_EQ(slip.exit_code, 2);
  EXPECT_THAT(slip.err, HasSubstr("hint: first may be meant"));
}

TEST(CommandEmulateCooperative, ASpecMakesAllCtasWaitForEachOther) {
  // Each CTA counts itself at the barrier word of the grid, and waits for the others.
  const std::string kernel = module_of("", R"(
    .reg .pred %p;
    .reg .b32 %low, %high, %count, %ctas;
    .reg .b64 %workspace, %upper;
    mov.u32 %high, %envreg1;
    mov.u32 %low, %envreg2;
    mov.b64 %workspace, {%low, %high};
    setp.eq.u64 %p, %workspace, 0;
    @%p trap;
    mov.u32 %ctas, %nctaid.x;
    atom.add.release.gpu.u32 %count, [%workspace+4], 1;
  WAIT:
    ld.acquire.gpu.u32 %count, [%workspace+4];
    setp.ne.u32 %p, %count, %ctas;
    @%p bra WAIT;)");
  const auto spec = [](const std::string& ctas, const std::string& more) {
    return R"({"grid": [)" + ctas + R"(], "block": [1], "parameters": [])" + more + "}";
  };
  const Case all(kernel, spec("9", R"(, "cooperative": true)"));
  const Outcome text = all.run();
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("block 1x1x1, cooperative"));
  EXPECT_EQ(json::parse(all.run({"--json"}).out).at("launch").at("cooperative"), true);
  for (const char* ordinary : {"", R"(, "cooperative": false)"}) {
    EXPECT_EQ(Case(kernel, spec("9", ordinary)).run().exit_code, 6);
  }
  const Outcome large = Case(kernel, spec("257", R"(, "cooperative": true)")).run();
  EXPECT_EQ(large.exit_code, 2);
  EXPECT_THAT(large.err, HasSubstr("a cooperative grid of 257 CTAs"));
}

TEST(CommandEmulateRaces, AreFaultsUnlessTheyAreNotAskedFor) {
  // Two warps write the same word, and nothing orders them.
  const Case race(module_of(".param .u64 out", R"(
    .reg .b64 %out;
    .reg .b32 %thread;
    ld.param.u64 %out, [out];
    mov.u32 %thread, %tid.x;
    shr.u32 %thread, %thread, 5;
    st.global.u32 [%out], %thread;)"),
                  R"({"grid": [1], "block": [64], "parameters": [{"buffer": "out", "dtype": "u32", "shape": [1]}]})");
  const Outcome outcome = race.run();
  EXPECT_EQ(outcome.exit_code, 6) << outcome.out;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("race"), HasSubstr("st.global.u32 [%out], %thread;"),
                    HasSubstr("\"out\" has 4 bytes at 0x"), HasSubstr("hint: --schedule random --seed 0")));
  EXPECT_EQ(race.run({"--no-races"}).exit_code, 0);
}

TEST(CommandEmulateTrace, PrintsTheInstructionsOfOneWarpWithTheLanesThatRunThem) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const Outcome whole = vector_add.run({"--trace", "cta=1,0,0,warp=0"});
  EXPECT_EQ(whole.exit_code, 0);
  EXPECT_THAT(whole.err, AllOf(StartsWith("trace     line "), HasSubstr("  ffffffff  add.f32 %x, %x, %y;\n")));
  // Elements 96 to 99.
  const Outcome end = vector_add.run({"--trace", "cta=1,0,0 warp=1"});
  EXPECT_THAT(end.err, AllOf(HasSubstr("  ffffffff  setp.ge.u32"), HasSubstr("  0000000f  add.f32")));
  const Outcome lane = vector_add.run({"--trace", "cta=1,0,0,warp=1,lanes=0x10"});
  EXPECT_THAT(lane.err, AllOf(HasSubstr("  ffffffff  setp.ge.u32"), Not(HasSubstr("add.f32"))));
}

TEST(CommandEmulateTrace, EndsAtItsLimitAndSaysSo) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const Outcome outcome = vector_add.run({"--trace", "warp=1", "--trace-lines", "2"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 3);
  EXPECT_THAT(outcome.err, HasSubstr("trace     … and more; --trace-lines N prints N of them\n"));
}

TEST(CommandEmulateExplore, RunsEveryOrderAndTellsWhatDependsOnIt) {
  json spec = json::parse(kTicketsSpec);
  spec["block"] = {96};
  spec["parameters"][1]["shape"] = {3};
  const Case tickets(kTickets, spec.dump());
  const Outcome text = tickets.run({"--explore", "2"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr(" of at most 2 preemptions, every order within that bound"),
                              HasSubstr("min 3, max 3, 0 NaN; the same in every run"),
                              HasSubstr("min 0, max 2, 0 NaN; NOT the same in every run")));
  const json exploration = json::parse(tickets.run({"--explore", "1", "--json"}).out).at("exploration");
  EXPECT_EQ(exploration.at("complete"), true);
  EXPECT_GT(exploration.at("runs"), 1);
}

TEST(CommandEmulateTensorMap, IsAParameterOfItsOwnAndIsJudgedByTheRulesOfItsEncoding) {
  const auto spec = [](const std::string& more) {
    return R"({"grid": [1], "block": [1],
      "memory": [{"buffer": "a", "dtype": "bf16", "shape": [128, 64], "fill": 1}],
      "parameters": [{"tensor_map": {"of": "a", "element": "bf16", "sizes": [64, 128], "box": [64, 32],
                                     "swizzle": "128B")" +
           more + "}}]}";
  };
  const std::string kernel = module_of(".param .align 64 .b8 map[128]", "");
  const Outcome right = Case(kernel, spec(R"(, "strides": [128], "fill": "nan", "offset": 16)")).run();
  EXPECT_EQ(right.exit_code, 0) << right.err;
  const Outcome wrong = Case(kernel, spec(R"(, "offset": 8)")).run();
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err,
              AllOf(HasSubstr("launch spec: parameters[0].tensor_map: address"), HasSubstr("multiple of 16")));
  const Outcome unaligned = Case(module_of(".param .align 8 .b8 map[128]", ""), spec("")).run();
  EXPECT_EQ(unaligned.exit_code, 2);
  EXPECT_THAT(unaligned.err, HasSubstr("parameters[0] (tensor_map) is aligned to 64 bytes, but map of k to 8"));
}

TEST(CommandEmulateInterrupted, LeavesNothing) {
  const Case endless(module_of(".param .u64 out", R"(
    .reg .b64 %out;
    ld.param.u64 %out, [out];
    AGAIN: st.global.u32 [%out], 1;
    bra.uni AGAIN;)"),
                     R"({"grid": [1], "block": [32],
                         "parameters": [{"buffer": "out", "dtype": "u32", "shape": [1]}]})");
  ChildCommand child(endless.directory(), endless.words({"-o", endless / "out"}), {},
                     ChildCommand::StandardError::kTerminal);
  EXPECT_TRUE(child.wait_for_terminal("2/3 running, schedule random, seed 0"));
  child.send(SIGINT);
  EXPECT_EQ(child.wait().exit_code, 130);
  EXPECT_EQ(endless.directory().number_of_files(), 2u);
}

TEST(CommandEmulateOutput, ThatCannotBeWrittenIsTold) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  const Outcome missing = vector_add.run({"-o", vector_add / "missing/out"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("existing directory is needed"));
  const Outcome refused = vector_add.run({"-o", "/proc/flashmask-output"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("/proc/flashmask-output: cannot be written"));
}

/// A spec that must be refused: a piece of the good one, what stands there instead, and what is told.
struct BadSpec {
  std::string name;
  std::string from, to;
  std::string rule;
};
void PrintTo(const BadSpec& bad, std::ostream* stream) {
  *stream << bad.name;
}

std::string buffer_with(const std::string& fields) {
  return R"({"buffer": "b", )" + fields + "}";
}

std::vector<BadSpec> bad_specs() {
  const std::string b = R"({"buffer": "b", "dtype": "f32", "shape": [100], "fill": 0.5})";
  const std::string n = R"({"u32": 100})", grid = R"("grid": [2])", outputs = R"("outputs": ["sum"])";
  const auto map = [](const std::string& fields) {
    return R"({"tensor_map": {"of": "a", "element": "f32", )" + fields + "}}";
  };
  return {
      {"NoJson", kVectorAddSpec, "grid = 2", "line 1, column 1: this is not valid JSON"},
      {"Nothing", kVectorAddSpec, "", "not valid JSON"},
      {"Cut", outputs + "}", outputs, "not valid JSON"},
      {"SecondLine", grid, R"("grid": [2,])", "line 2, column 14"},
      {"ZeroByte", outputs, outputs + std::string(1, '\0'), "zero byte"},
      {"NanNumber", b, buffer_with(R"("dtype": "f32", "shape": [100], "fill": NaN)"), "line 4"},
      {"HugeNumber", "0.5", "1e999", "too large"},
      {"AnArray", kVectorAddSpec, "[]", "an object is needed"},
      {"DeepArrays", kVectorAddSpec, std::string(100000, '[') + std::string(100000, ']'), "nest deeper than 64"},
      {"Cooperative", grid, grid + R"(, "cooperative": 1)", "cooperative = 1: true or false is needed"},
      {"KeyTwice", grid, grid + ", " + grid, "\"grid\" stands twice"},
      {"UnknownKey", outputs, R"("output": ["sum"])", "\"outputs\" may be meant"},
      {"UnknownBufferKey", "\"fill\": 0.5", "\"filll\": 0.5", "\"fill\" may be meant"},
      {"UnknownKind", n, R"({"pinter": "a"})", "\"pointer\" may be meant by \"pinter\""},
      {"NoKind", n, "{}", "none of the keys"},
      {"TwoKinds", n, R"({"u32": 100, "i32": 1})", "\"i32\" and \"u32\" in one value"},
      {"NotAnObject", n, "100", "parameters[3] = 100"},
      {"NoGrid", grid + ",", "", "\"grid\" is missing"},
      {"GridOfText", grid, R"("grid": "2")", "grid = \"2\": an array of 1 to 3 is needed"},
      {"GridOfFour", grid, R"("grid": [1, 1, 1, 1])", "an array of 1 to 3"},
      {"GridOfZero", grid, R"("grid": [0])", "grid[0] = 0: an integer from 1"},
      {"NegativeGrid", grid, R"("grid": [-1])", "grid[0] = -1"},
      {"NegativeShared", grid, grid + R"(, "shared": -4)", "shared = -4"},
      {"WrongType", "\"dtype\": \"f32\", \"shape\": [100]", "\"dtype\": \"float\", \"shape\": [100]",
       "dtype = \"float\": one of f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, bool is needed"},
      {"NegativeShape", b, buffer_with(R"("dtype": "f32", "shape": [-100])"), "parameters[1].shape[0] = -100"},
      {"RealShape", b, buffer_with(R"("dtype": "f32", "shape": [1.5])"), "shape[0] = 1.5: an integer"},
      {"NoShape", b, buffer_with(R"("dtype": "f32")"), "\"shape\" is missing"},
      {"HugeBuffer", b, buffer_with(R"("dtype": "f32", "shape": [1000000000000])"), "at most 4294967296 bytes in all"},
      {"Overflow", b, buffer_with(R"("dtype": "f32", "shape": [4294967296, 4294967296, 4])"), "is too large"},
      {"ManyLargeBuffers", outputs, R"("memory": [{"buffer": "x", "dtype": "u8", "shape": [4294967296]}])",
       "is too large"},
      {"UnknownFill", "\"fill\": 0.5", "\"fill\": \"zeros\"", "\"iota\" or {\"normal\": seed}"},
      {"FillTooLarge", b, buffer_with(R"("dtype": "f16", "shape": [100], "fill": 65520)"), "that f16 can hold"},
      {"FillOfAnotherType", b, buffer_with(R"("dtype": "u8", "shape": [400], "fill": 0.5)"),
       "an integer from 0 to 255"},
      {"NormalIntegers", b, buffer_with(R"("dtype": "i32", "shape": [100], "fill": {"normal": 1})"),
       "f16 and bf16 only"},
      {"NameTwice", "\"buffer\": \"b\"", "\"buffer\": \"a\"", "the name \"a\" is taken by parameters[0]"},
      {"IntegerTooLarge", n, R"({"i32": 2147483648})", "parameters[3].i32 = 2147483648"},
      {"IntegerTooSmall", n, R"({"i32": -2147483649})", "an integer from -2147483648 to 2147483647"},
      {"RealInteger", n, R"({"i32": 5.0})", "i32 = 5.0"},
      {"TextInteger", n, R"({"i32": "5"})", "i32 = \"5\""},
      {"FloatTooLarge", n, R"({"f32": 1e39})", "that f32 can hold"},
      {"TextFloat", n, R"({"f32": "many"})", "\"nan\", \"inf\" or \"-inf\""},
      {"OddBytes", n, R"({"bytes": "012"})", "an even number of hexadecimal digits"},
      {"NoBytes", n, R"({"bytes": "0g"})", "an even number of hexadecimal digits"},
      {"EmptyStruct", n, R"({"struct": []})", "struct = []"},
      {"StructAlignment", n, R"({"struct": [{"u32": 1}], "align": 12})", "a power of two is needed"},
      {"FieldOfStruct", n, R"({"struct": [{"u32": 1}, {"u32": "x"}]})", "parameters[3].struct[1].u32"},
      {"DeepStruct", n,
       [] {
         std::string deep = R"({"u32": 1})";
         for (int i = 0; i < 20; ++i) deep = R"({"struct": [)" + deep + "]}";
         return deep;
       }(),
       "nest deeper than 16"},
      {"LargeStruct", n,
       R"({"struct": [{"bytes": ")" + std::string(40000, '0') + R"("}, {"bytes": ")" + std::string(40000, '0') +
           R"("}]})",
       "grows beyond 32764 bytes"},
      {"WrongSize", n, R"({"u64": 100})", "parameters[3] (u64) has 8 bytes, but n of k has 4"},
      {"WrongAlignment", n, R"({"struct": [{"u32": 1}], "align": 4}, {"u32": 1})",
       "5 parameters are given, but k takes 4"},
      {"TooFew", ",\n                 " + n, "", "3 parameters are given, but k takes 4"},
      {"UnknownPointer", n, R"({"pointer": "summ"})", "no tensor or buffer \"summ\""},
      {"UnknownOutput", outputs, R"("outputs": ["summ"])", "\"sum\" may be meant"},
      {"OutputTwice", outputs, R"("outputs": ["sum", "sum"])", "stands there twice"},
      {"NoSuchFile", b, R"({"tensor": "b", "file": "missing.safetensors"})", "missing.safetensors: cannot be opened"},
      {"NoSuchTensor", b, R"({"tensor": "quer", "file": "good.safetensors"})",
       "has no tensor \"quer\"; it has \"query\""},
      {"NoFile", b, R"({"tensor": "b"})", "\"file\" is missing"},
      {"CutFile", b, R"({"tensor": "b", "file": "cut.safetensors"})", "the file is cut"},
      {"AnotherFile", b, R"({"tensor": "b", "file": "spec.json"})", "spec.json: its header claims"},
      {"FileIsADirectory", b, R"({"tensor": "b", "file": "."})", "not a regular file"},
      {"MapElement", n, R"({"tensor_map": {"of": "a", "element": "f31"}})", "tensor_map.element = \"f31\": one of u8"},
      {"MapOfNothing", n, R"({"tensor_map": {"of": "z", "element": "f32", "sizes": [100], "box": [4]}})",
       "no tensor or buffer \"z\""},
      {"MapRank", n, map(R"("sizes": [1, 1, 1, 1, 1, 1], "box": [4])"), "an array of 1 to 5"},
      {"MapBox", n, map(R"("sizes": [10, 10], "box": [4])"), "tensor_map.box = [4]: an array of 2"},
      {"MapStrides", n, map(R"("sizes": [10, 10], "strides": [4, 40], "box": [4, 4])"), "an array of 1 is needed"},
      {"MapStridesOverflow", n, map(R"("sizes": [9223372036854775807, 4, 4], "box": [4, 4, 4])"), "overflow 64 bits"},
      {"MapSwizzle", n, map(R"("sizes": [10], "box": [4], "swizzle": "128")"), "one of none, 32B, 64B, 128B"},
      {"MapFill", n, map(R"("sizes": [10], "box": [4], "fill": 0)"), "tensor_map.fill = 0: a string"},
      {"MapKey", n, map(R"("sizes": [10], "boxes": [4])"), "\"box\" may be meant"},
  };
}

class EmulateOnBadSpec : public ::testing::TestWithParam<BadSpec> {};

TEST_P(EmulateOnBadSpec, NamesThePlaceAndTheRuleAndLeavesNothing) {
  std::string spec = kVectorAddSpec;
  const std::size_t at = spec.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  spec.replace(at, GetParam().from.size(), GetParam().to);
  const Case bad(kVectorAdd, spec);
  const std::vector<float> query(100);
  safetensors::Writer writer;
  writer.add("query", ElementType::kF32, {100}, std::as_bytes(std::span(query)));
  writer.save(bad / "good.safetensors");
  write_file(bad / "cut.safetensors", read_file(bad / "good.safetensors").substr(0, 20));
  const Outcome outcome = bad.run({"-o", bad / "out"});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(StartsWith("flashmask: error: launch spec: "), HasSubstr(GetParam().rule)));
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(bad.directory().number_of_files(), 4u);
}

INSTANTIATE_TEST_SUITE_P(Rules, EmulateOnBadSpec, ::testing::ValuesIn(bad_specs()),
                         [](const auto& named) { return named.param.name; });

TEST(CommandEmulateParameters, AStricterAlignmentThanTheKernelsIsRefused) {
  const Case aligned(module_of(".param .align 8 .b8 fields[16]", ""),
                     R"({"grid": [1], "block": [1], "parameters": [{"struct": [{"u64": 1}], "align": 16}]})");
  const Outcome outcome = aligned.run();
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("parameters[0] (struct) is aligned to 16 bytes, but fields of k to 8"),
                                 HasSubstr("hint: k takes fields (16 bytes)")));
}

TEST(CommandEmulateUsage, ContradictionsAndWrongValuesAreExitCodeTwo) {
  const Case vector_add(kVectorAdd, kVectorAddSpec);
  struct {
    Words words;
    std::string rule;
  } const cases[] = {
      {{"--schedule", "fair"}, "one of random, in-order, reversed, starved, late-landings is needed"},
      {{"--schedule", "random", "--all-schedules"}, "--all-schedules together with --schedule"},
      {{"--explore", "2", "--repeat", "2"}, "--explore together with --repeat"},
      {{"--explore", "-1"}, "--explore -1"},
      {{"--repeat", "0"}, "--repeat 0: an integer from 1"},
      {{"--seed", "-1"}, "--seed -1"},
      {{"--trace", "warp"}, "--trace warp: cta=X,Y,Z,warp=W is needed"},
      {{"--trace", "cta=0,0"}, "--trace cta=0,0: "},
      {{"--trace", "warp=0,lanes=0"}, "lanes=MASK"},
      {{"--trace", "cta=2,0,0"}, "the grid is 2x1x1 CTAs of 2 warps"},
      {{"--trace", "cta=1,0,0 warp=2"}, "warp=2: the grid is"},
      {{"--trace", "warp=1", "--repeat", "3"}, "--trace together with"},
      {{"--trace-lines", "3"}, "--trace-lines without --trace"},
  };
  for (const auto& [words, rule] : cases) {
    const Outcome outcome = vector_add.run(words);
    EXPECT_EQ(outcome.exit_code, 2) << rule;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("flashmask: error: "), HasSubstr(rule)));
  }
  const Outcome missing = run_command_line(vector_add.directory(),
                                           {"emulate", vector_add / "none.ptx", "--launch", vector_add / "spec.json"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("none.ptx: cannot be opened"));
  const Outcome directory = run_command_line(
      vector_add.directory(), {"emulate", vector_add / "k.ptx", "--launch", vector_add.directory().path()});
  EXPECT_EQ(directory.exit_code, 2);
}

}  // namespace
}  // namespace flashmask::test
