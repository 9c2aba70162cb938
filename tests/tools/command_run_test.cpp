// The built command end to end on the emulator: random problems of every form against fp64, the cache between two runs,
// and an interrupt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flashmask/reference.h"
#include "tests/tools/child_command.h"
#include "tests/tools/random_problem.h"
#include "tools/command/problem.h"
#include "tools/safetensors/reader.h"

namespace flashmask::test {
namespace {

using nlohmann::json;
using safetensors::ElementType;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

struct RunCase {
  RandomProblem problem;
  Words words;
  command::RunArguments arguments;  ///< the same, for the reference of this test
};
void PrintTo(const RunCase& run, std::ostream* stream) {
  *stream << run.problem.name;
}

template <typename Element>
std::vector<Element> read_tensor(const safetensors::Reader& reader, const std::string& name) {
  const safetensors::TensorInfo* tensor = reader.find(name);
  if (tensor == nullptr) return {};
  std::vector<Element> data(tensor->bytes() / sizeof(Element));
  reader.read(*tensor, std::as_writable_bytes(std::span(data)));
  return data;
}

/// Rows that see no key have exactly 0 and -inf; no value is NaN.
void expect_dead_rows_exact(const reference::ForwardProblem& problem, const std::vector<std::uint16_t>& output,
                            const std::vector<float>& lse) {
  for (int batch = 0; batch < problem.batch; ++batch) {
    for (int head = 0; head < problem.num_heads_q; ++head) {
      for (int row = 0; row < problem.seqlen_q; ++row) {
        bool dead = true;
        for (int key = 0; key < problem.seqlen_k && dead; ++key) {
          dead = !reference::is_visible(problem, batch, head, row, key);
        }
        const std::size_t at_lse = (std::size_t(batch) * problem.num_heads_q + head) * problem.seqlen_q + row;
        const std::size_t at_row = (std::size_t(batch) * problem.seqlen_q + row) * problem.num_heads_q + head;
        ASSERT_EQ(std::isinf(lse[at_lse]) && lse[at_lse] < 0, dead) << row;
        ASSERT_FALSE(std::isnan(lse[at_lse]));
        for (int column = 0; column < problem.head_dim_v; ++column) {
          const std::uint16_t bits = output[at_row * problem.head_dim_v + column];
          ASSERT_FALSE(std::isnan(reference::to_float(bits, problem.dtype)));
          ASSERT_TRUE(!dead || (bits & 0x7fff) == 0) << row;
        }
      }
    }
  }
}

std::vector<RunCase> run_cases() {
  std::vector<RunCase> cases;
  const auto add = [&](RandomProblem problem, bool causal, Words words = {}) {
    RunCase run{std::move(problem), std::move(words), {}};
    run.problem.seed = cases.size() + 1;
    run.arguments.causal = causal;
    if (causal) run.words.push_back("--causal");
    cases.push_back(std::move(run));
  };
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    const std::string suffix = dtype == DataType::kFloat16 ? "Fp16" : "Bf16";
    const auto sized = [&](const std::string& name, int seqlen_q, int seqlen_k, int vectors) {
      RandomProblem problem;
      problem.name = name + suffix;
      problem.dtype = dtype;
      problem.seqlen_q = seqlen_q;
      problem.seqlen_k = seqlen_k;
      problem.vectors = vectors;
      return problem;
    };
    add(sized("None", 33, 70, 0), false);
    add(sized("Causal", 70, 33, 0), true);
    cases.push_back(RunCase{sized("CausalTopLeft", 33, 70, 0), {"--causal", "--causal-alignment", "top-left"}, {}});
    cases.back().arguments.causal = true;
    cases.back().arguments.causal_alignment = CausalAlignment::kTopLeft;
    cases.push_back(RunCase{sized("Window", 65, 80, 0), {"--window", "9,4", "--scale", "0.5"}, {}});
    cases.back().arguments.window = command::Window{9, 4};
    cases.push_back(RunCase{sized("CausalWindow", 65, 65, 0), {"--window", "9,-1", "--causal", "--seed", "7"}, {}});
    cases.back().arguments.window = command::Window{9, -1};
    cases.back().arguments.causal = true;
    add(sized("C1", 65, 50, 1), true);
    RandomProblem heads = sized("C2", 40, 65, 2);
    heads.num_heads_q = heads.num_heads_mask = 4;
    heads.num_heads_kv = 2;
    heads.batch = 2;
    add(heads, true);
    heads = sized("F2", 65, 40, 2);
    heads.num_heads_q = 4;
    heads.num_heads_kv = heads.num_heads_mask = 2;
    add(heads, false);
    RandomProblem dims = sized("F4", 50, 66, 4);
    dims.head_dim_qk = 72;
    dims.head_dim_v = 40;
    add(dims, false);
    add(sized("F4Tiled", 50, 66, 4), false, {"--tile", "16,32"});
    add(sized("NoneOnSm90a", 70, 140, 0), false, {"--target", "sm_90a"});
    dims.name = "F4OnSm90a" + suffix;
    add(dims, false, {"--target", "sm_90a", "--tile", "128,32"});
    heads.name = "F2OnSm90a" + suffix;
    add(heads, false, {"--target", "sm_90a", "--config", "128x48,w8,s3,turns"});
  }
  return cases;
}

/// The emulator's target, as the words say.
bool is_for_hopper(const RunCase& run) {
  return std::ranges::find(run.words, "sm_90a") != run.words.end();
}

class CommandRun : public ::testing::TestWithParam<RunCase> {};

TEST_P(CommandRun, OfARandomProblemIsWithinTheBoundOfFp64) {
  const TemporaryDirectory directory;
  const std::filesystem::path input = directory / "in.safetensors", output = directory / "out.safetensors";
  write_problem(GetParam().problem, input);
  Words words = {"run", input, "-o", output, "--device", "emulator", "--verify", "--json"};
  words.insert(words.end(), GetParam().words.begin(), GetParam().words.end());
  const Outcome outcome = run_command_line(directory, words);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err << outcome.out;
  EXPECT_EQ(outcome.err, "");

  const json report = json::parse(outcome.out);
  EXPECT_EQ(report.at("schema"), 1);
  EXPECT_EQ(report.at("device").at("kind"), "emulator");
  // The forward, and what builds the plan of a mask with vectors.
  const bool has_plan = GetParam().problem.vectors > 0;
  EXPECT_EQ(report.at("counters").at("compiles"), has_plan ? 2 : 1);
  EXPECT_EQ(report.contains("tiles"), has_plan);
  EXPECT_EQ(report.at("verification").at("passed"), true);
  EXPECT_EQ(report.at("verification").at("nan_count"), 0);
  EXPECT_EQ(report.at("verification").at("dead_rows_wrong"), 0);
  EXPECT_GT(report.at("emulation").at("matrix_instructions"), 0);
  EXPECT_EQ(report.at("device").at("target"), is_for_hopper(GetParam()) ? "sm_90a" : "sm_80");
  EXPECT_EQ(report.at("workspace_bytes") > 0, is_for_hopper(GetParam()));

  // What was written, against the definition of the mask.
  command::RunArguments arguments = GetParam().arguments;
  arguments.input = input;
  const command::Problem problem = command::load_problem(arguments);
  const reference::ForwardProblem& shape = problem.shape;
  const safetensors::Reader reader(output);
  ASSERT_EQ(reader.layout().tensors.size(), 2u);
  EXPECT_EQ(reader.find("out")->type, shape.dtype == DataType::kFloat16 ? ElementType::kF16 : ElementType::kBF16);
  const auto extent = [](int value) { return static_cast<std::uint64_t>(value); };
  EXPECT_EQ(reader.find("out")->shape,
            (std::vector<std::uint64_t>{extent(shape.batch), extent(shape.seqlen_q), extent(shape.num_heads_q),
                                        extent(shape.head_dim_v)}));
  EXPECT_EQ(reader.find("lse")->type, ElementType::kF32);
  expect_dead_rows_exact(shape, read_tensor<std::uint16_t>(reader, "out"), read_tensor<float>(reader, "lse"));
}

INSTANTIATE_TEST_SUITE_P(Forms, CommandRun, ::testing::ValuesIn(run_cases()),
                         [](const auto& named) { return named.param.problem.name; });

/// Problems with gradients: a dlse in every second one, and every form.
std::vector<RunCase> backward_cases() {
  std::vector<RunCase> cases;
  const auto add = [&](const std::string& name, RandomProblem problem, Words words) {
    problem.name = name;
    problem.seed = 100 + cases.size();
    problem.dtype = cases.size() % 2 == 0 ? DataType::kBfloat16 : DataType::kFloat16;
    problem.output_gradient = true;
    problem.lse_gradient = cases.size() % 2 == 1;
    RunCase run{problem, std::move(words), {}};
    run.arguments.backward = true;
    run.arguments.causal = std::ranges::find(run.words, "--causal") != run.words.end();
    run.words.push_back("--backward");
    cases.push_back(std::move(run));
  };
  const auto sized = [](int seqlen_q, int seqlen_k, int vectors) {
    RandomProblem problem;
    problem.seqlen_q = seqlen_q;
    problem.seqlen_k = seqlen_k;
    problem.vectors = vectors;
    return problem;
  };
  add("None", sized(33, 70, 0), {});
  add("Causal", sized(70, 33, 0), {"--causal"});
  add("CausalOnSm90a", sized(70, 33, 0), {"--causal", "--target", "sm_90a"});
  add("Window", sized(65, 80, 0), {"--window", "9,4"});
  cases.back().arguments.window = command::Window{9, 4};
  add("C1", sized(65, 50, 1), {"--causal", "--deterministic"});
  RandomProblem heads = sized(40, 65, 2);
  heads.num_heads_q = heads.num_heads_mask = 4;
  heads.num_heads_kv = 2;
  heads.batch = 2;
  add("C2", heads, {"--causal"});
  heads.num_heads_mask = 2;
  add("F2", heads, {"--deterministic"});
  RandomProblem dims = sized(50, 66, 4);
  dims.head_dim_qk = 72;
  dims.head_dim_v = 40;
  add("F4", dims, {});
  add("F4NoSkip", dims, {"--no-skip"});
  return cases;
}

class CommandRunBackward : public ::testing::TestWithParam<RunCase> {};

TEST_P(CommandRunBackward, OfARandomProblemIsWithinTheBoundOfFp64) {
  const TemporaryDirectory directory;
  const std::filesystem::path input = directory / "in.safetensors", output = directory / "out.safetensors";
  write_problem(GetParam().problem, input);
  Words words = {"run", input, "-o", output, "--device", "emulator", "--verify", "--json"};
  words.insert(words.end(), GetParam().words.begin(), GetParam().words.end());
  const Outcome outcome = run_command_line(directory, words);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err << outcome.out;
  EXPECT_EQ(outcome.err, "");

  const json report = json::parse(outcome.out);
  const json& backward = report.at("backward");
  EXPECT_EQ(backward.at("kernel").at("descriptor").at("pass"), "backward");
  EXPECT_EQ(backward.at("kernel").at("descriptor").at("deterministic"),
            std::ranges::find(GetParam().words, "--deterministic") != GetParam().words.end());
  EXPECT_EQ(backward.at("compiled"), true);
  EXPECT_EQ(backward.contains("tiles"), report.contains("tiles"));
  EXPECT_GT(backward.at("emulation").at("matrix_instructions"), 0);
  EXPECT_EQ(report.at("verification").at("passed"), true);
  for (const char* gradient : {"dq", "dk", "dv"}) {
    const json& verification = backward.at("verification").at(gradient);
    EXPECT_EQ(verification.at("passed"), true) << gradient;
    EXPECT_EQ(verification.at("nan_count"), 0) << gradient;
    EXPECT_EQ(verification.at("zero_rows_wrong"), 0) << gradient;
    EXPECT_GT(verification.at("bound"), 0) << gradient;
  }

  // What was written is what was verified.
  command::RunArguments arguments = GetParam().arguments;
  arguments.input = input;
  const command::Problem problem = command::load_problem(arguments);
  const safetensors::Reader reader(output), read_input(input);
  ASSERT_EQ(reader.layout().tensors.size(), 5u);
  for (const auto& [gradient, of] : {std::pair{"dq", "q"}, {"dk", "k"}, {"dv", "v"}}) {
    EXPECT_EQ(reader.find(gradient)->type, read_input.find(of)->type) << gradient;
    EXPECT_EQ(reader.find(gradient)->shape, read_input.find(of)->shape) << gradient;
  }
  const reference::GradientComparison comparison =
      reference::compare(problem.backward(), read_tensor<std::uint16_t>(reader, "dq"),
                         read_tensor<std::uint16_t>(reader, "dk"), read_tensor<std::uint16_t>(reader, "dv"));
  EXPECT_TRUE(comparison.passed);
  EXPECT_EQ(comparison.query.max_error, backward.at("verification").at("dq").at("max_error"));
  EXPECT_EQ(comparison.key.max_error, backward.at("verification").at("dk").at("max_error"));
  EXPECT_EQ(comparison.value.max_error, backward.at("verification").at("dv").at("max_error"));
}

INSTANTIATE_TEST_SUITE_P(Forms, CommandRunBackward, ::testing::ValuesIn(backward_cases()),
                         [](const auto& named) { return named.param.problem.name; });

TEST(CommandRunBackwardAlone, LeavesTheForwardsTensorsAsTheyAreWithoutIt) {
  const TemporaryDirectory directory;
  RandomProblem problem;
  problem.vectors = 4;
  problem.output_gradient = true;
  write_problem(problem, directory / "in");
  const Words words = {"run", directory / "in", "--device", "emulator", "-o"};
  Words both = words, forward = words;
  both.insert(both.end(), {directory / "both", "--backward"});
  forward.push_back(directory / "forward");
  ASSERT_EQ(run_command_line(directory, both).exit_code, 0);
  ASSERT_EQ(run_command_line(directory, forward).exit_code, 0);
  const safetensors::Reader of_both(directory / "both"), of_forward(directory / "forward");
  EXPECT_EQ(of_forward.layout().tensors.size(), 2u);
  for (const char* name : {"out", "lse"})
    EXPECT_EQ(read_tensor<std::uint16_t>(of_both, name), read_tensor<std::uint16_t>(of_forward, name)) << name;
}

TEST(CommandRunBackwardAlone, IfDeterministicGivesTheSameBytesUnderEverySchedule) {
  const TemporaryDirectory directory;
  RandomProblem problem;
  problem.seqlen_q = problem.seqlen_k = 300;
  problem.vectors = 2;
  problem.output_gradient = true;
  write_problem(problem, directory / "in");
  const auto run = [&](const Words& more) {
    Words words = {"run", directory / "in", "--backward", "--deterministic", "--device", "emulator", "--tile", "64,64"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_command_line(directory, words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  };
  run({"--seed", "1", "-o", directory / "a"});
  run({"--seed", "2", "-o", directory / "b"});
  run({"--schedule", "reversed", "-o", directory / "c"});
  EXPECT_EQ(read_file(directory / "a"), read_file(directory / "b"));
  EXPECT_EQ(read_file(directory / "a"), read_file(directory / "c"));
}

TEST(CommandRunBackwardAlone, TellsAPersonWhatItTellsOfTheForward) {
  const TemporaryDirectory directory;
  RandomProblem problem;
  problem.vectors = 2;
  problem.output_gradient = true;
  write_problem(problem, directory / "in");
  const Outcome outcome = run_command_line(
      directory, {"run", directory / "in", "-o", directory / "out", "--backward", "--verify", "--device", "emulator"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("kernel    forward bf16 d32 f2 sm_80"), HasSubstr("kernel    backward bf16 d32 f2 sm_80"),
                    HasSubstr("verify    passed: max |out - ref|")));
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("verify    passed: max |dq - ref|"), HasSubstr("verify    passed: max |dk - ref|"),
                    HasSubstr("verify    passed: max |dv - ref|")));
}

TEST(CommandRunNoSkip, VisitsEveryTileAndGivesTheSameBytes) {
  const TemporaryDirectory directory;
  RandomProblem problem;
  problem.vectors = 4;
  problem.seqlen_q = problem.seqlen_k = 150;
  write_problem(problem, directory / "in");
  const Words words = {"run", directory / "in", "--device", "emulator", "--tile", "64,16", "--json", "-o"};
  Words skipping = words, visiting = words;
  skipping.push_back(directory / "a");
  visiting.insert(visiting.end(), {directory / "b", "--no-skip"});
  const Outcome skipped = run_command_line(directory, skipping), visited = run_command_line(directory, visiting);
  ASSERT_EQ(skipped.exit_code, 0) << skipped.err;
  ASSERT_EQ(visited.exit_code, 0) << visited.err;
  EXPECT_EQ(read_file(directory / "a"), read_file(directory / "b"));
  EXPECT_FALSE(json::parse(visited.out).contains("tiles"));
  EXPECT_EQ(json::parse(visited.out).at("skips_empty_tiles"), false);
  EXPECT_EQ(json::parse(visited.out).at("counters").at("compiles"), 0);  // the same kernel, and no plan
}

TEST(CommandRunTwice, FindsTheKernelAndGivesTheSameBytes) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "in");
  const Words words = {"run", directory / "in", "--causal", "--device", "emulator", "-o"};
  Words first = words, second = words;
  first.push_back(directory / "a");
  second.push_back(directory / "b");
  const Outcome compiled = run_command_line(directory, first), found = run_command_line(directory, second);
  ASSERT_EQ(compiled.exit_code, 0) << compiled.err;
  ASSERT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(compiled.out, AllOf(HasSubstr("origin    compiled"), HasSubstr("compiles 1")));
  EXPECT_THAT(found.out, AllOf(HasSubstr("origin    disk"), HasSubstr("compiles 0"), HasSubstr("nothing compiled")));
  EXPECT_EQ(read_file(directory / "a"), read_file(directory / "b"));
}

TEST(CommandRunAlone, SaysOnWhichDeviceItRuns) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "in");
  const Outcome outcome = run_command_line(directory, {"run", directory / "in", "-o", directory / "out"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("flashmask: running on "));
}

TEST(CommandRunAlone, MayReplaceItsInput) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "x");
  const Outcome outcome = run_command_line(directory, {"run", directory / "x", "-o", directory / "x"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(safetensors::Reader(directory / "x").find("out"), nullptr);
}

TEST(CommandRunAlone, AnUnusableCacheIsOneWarningAndARightResult) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "in");
  write_file(directory / "file", "in the way");
  const Outcome outcome = run_command_line(
      directory, {"run", directory / "in", "-o", directory / "out", "--device", "emulator", "--verify"},
      {{"FLASHMASK_CACHE_DIR", directory / "file/cache"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("verify    passed"));
  const std::size_t warning = outcome.err.find("warning");
  ASSERT_NE(warning, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("warning", warning + 1), std::string::npos) << outcome.err;
}

TEST(CommandInterrupted, LeavesNothingAndShowedItsProgressOnATerminal) {
  const TemporaryDirectory directory;
  RandomProblem large;
  large.seqlen_q = large.seqlen_k = 8192;
  large.num_heads_q = 16;
  large.head_dim_qk = large.head_dim_v = 128;
  write_problem(large, directory / "in");
  std::filesystem::create_directory(directory / "out");
  ChildCommand child(directory, {"run", directory / "in", "-o", directory / "out/x", "--device", "emulator"}, {},
                     ChildCommand::StandardError::kTerminal);
  EXPECT_TRUE(child.wait_for_terminal("3/4 running on the emulator"));
  child.send(SIGINT);
  EXPECT_EQ(child.wait().exit_code, 130);
  EXPECT_TRUE(std::filesystem::is_empty(directory / "out"));
}

TEST(CommandInterrupted, AtAnyMomentLeavesNothingHalfWritten) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "in");
  std::filesystem::create_directory(directory / "out");
  for (int milliseconds = 0; milliseconds < 600; milliseconds += 60) {
    ChildCommand child(directory, {"run", directory / "in", "-o", directory / "out/x", "--device", "emulator"});
    ::usleep(static_cast<useconds_t>(milliseconds) * 1000);
    child.send(SIGINT);
    const int code = child.wait().exit_code;
    EXPECT_TRUE(code == 130 || code == 0) << code;
    for (const auto& entry : std::filesystem::directory_iterator(directory / "out")) {
      EXPECT_EQ(entry.path().filename(), "x");
      EXPECT_EQ(safetensors::Reader(entry.path()).layout().tensors.size(), 2u);
    }
  }
}

}  // namespace
}  // namespace flashmask::test
