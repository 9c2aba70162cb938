// The built command on input that it must refuse: exit code, the rule on standard error, nothing on standard output,
// and no file left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/tools/child_command.h"
#include "tests/tools/random_problem.h"
#include "tests/tools/raw_safetensors.h"

namespace flashmask::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

/// A random problem after a change.
std::function<void(const std::filesystem::path&)> problem(const std::function<void(RandomProblem&)>& change) {
  return [change](const std::filesystem::path& path) {
    RandomProblem random;
    change(random);
    write_problem(random, path);
  };
}

std::function<void(const std::filesystem::path&)> raw(const std::string& content) {
  return [content](const std::filesystem::path& path) { write_file(path, content); };
}

/// q, k and v of 16 x 16 elements each with the fields given; 1536 bytes of data.
std::string three_tensors(const std::string& query, const std::string& key, const std::string& value) {
  return raw_safetensors("{\"q\":{" + query + R"(,"data_offsets":[0,512]},"k":{)" + key +
                             R"(,"data_offsets":[512,1024]},"v":{)" + value + R"(,"data_offsets":[1024,1536]}})",
                         1536);
}

const std::string kGood = R"("dtype":"BF16","shape":[1,16,1,16])";

/// q, k and v that are good, and a dout of 16 x 16 elements with the fields given.
std::string four_tensors(const std::string& output_gradient) {
  return raw_safetensors(
      "{\"q\":{" + kGood + R"(,"data_offsets":[0,512]},"k":{)" + kGood + R"(,"data_offsets":[512,1024]},"v":{)" +
          kGood + R"(,"data_offsets":[1024,1536]},"dout":{)" + output_gradient + R"(,"data_offsets":[1536,2048]}})",
      2048);
}

struct BadInput {
  std::string name;
  std::function<void(const std::filesystem::path&)> write;
  Words words;  ///< behind `run IN -o OUT`
  int exit_code;
  std::string rule;
};
void PrintTo(const BadInput& input, std::ostream* stream) {
  *stream << input.name;
}

std::vector<BadInput> bad_inputs() {
  const auto good = problem([](RandomProblem&) {});
  const auto vectors = [](int count) { return problem([count](RandomProblem& random) { random.vectors = count; }); };
  const auto head_dim = [](int qk, int v) {
    return problem([=](RandomProblem& random) { random.head_dim_qk = qk, random.head_dim_v = v; });
  };
  const std::string file = three_tensors(kGood, kGood, kGood);
  return {
      {"Rank", raw(three_tensors(R"("dtype":"BF16","shape":[16,1,16])", kGood, kGood)), {}, 2, "tensor q: shape"},
      {"Float32", raw(three_tensors(R"("dtype":"F32","shape":[1,8,1,16])", kGood, kGood)), {}, 2, "F16 or BF16"},
      {"MixedTypes",
       raw(three_tensors(kGood, R"("dtype":"F16","shape":[1,16,1,16])", kGood)),
       {},
       2,
       "tensor k: dtype F16"},
      {"HeadsOfValue",
       raw(three_tensors(kGood, kGood, R"("dtype":"BF16","shape":[1,16,2,8])")),
       {},
       2,
       "tensor v: Hk = 2"},
      {"HeadsDoNotDivide",
       problem([](RandomProblem& random) { random.num_heads_q = 3, random.num_heads_kv = 2; }),
       {},
       2,
       "must divide Hq = 3"},
      {"MaskHeads",
       problem([](RandomProblem& random) { random.vectors = 4, random.num_heads_mask = 3; }),
       {},
       2,
       "Hm = 3"},
      {"EmptyBatch", problem([](RandomProblem& random) { random.batch = 0; }), {}, 2, "every extent"},
      {"NoQueries", problem([](RandomProblem& random) { random.seqlen_q = 0; }), {}, 2, "every extent"},
      {"ThreeVectors", vectors(3), {}, 2, "n = 3; 1, 2 or 4"},
      {"OneVectorNotCausal", vectors(1), {}, 4, "legal are: with --causal n = 1"},
      {"FourVectorsCausal", vectors(4), {"--causal"}, 4, "legal are: with --causal n = 1"},
      {"WindowWithIntervals", vectors(2), {"--window", "4,0"}, 4, "--window together with startend_row_indices"},
      {"WindowBelowMinusOne", good, {"--window", "-2,0"}, 2, "--window -2,0"},
      {"HeadDimNotOfEight", head_dim(36, 32), {}, 4, "head_dim_qk = 36"},
      {"HeadDimOverLimit", head_dim(264, 32), {}, 4, "head_dim_qk = 264"},
      {"ValueDimNotOfEight", head_dim(32, 4), {}, 4, "head_dim_v = 4"},
      {"ScaleZero", good, {"--scale", "0"}, 2, "finite number > 0"},
      {"ScaleNan", good, {"--scale", "nan"}, 2, "finite number > 0"},
      {"UnknownTarget", good, {"--target", "sm_1"}, 2, "sm_80"},
      {"UnknownDevice", good, {"--device", "abacus"}, 2, "auto, cuda or emulator"},
      {"DeterministicForward", good, {"--deterministic"}, 2, "--deterministic: only the backward has a choice"},
      {"NoGradientOfTheOutput", good, {"--backward"}, 2, "tensor dout is missing: --backward needs"},
      {"GradientOfAnotherShape",
       raw(four_tensors(R"("dtype":"BF16","shape":[1,16,2,8])")),
       {"--backward"},
       2,
       "tensor dout: Hq = 2, but Hq of q = 1"},
      {"GradientOfAnotherType",
       raw(four_tensors(R"("dtype":"F16","shape":[1,16,1,16])")),
       {"--backward"},
       2,
       "tensor dout: dtype F16; BF16 is needed, the type of q"},
      {"TileOfABackward",
       problem([](RandomProblem& random) { random.output_gradient = true; }),
       {"--backward", "--tile", "17,16"},
       2,
       "--tile 17,16"},
      {"Tile", good, {"--tile", "17,16"}, 2, "--tile 17,16"},
      {"AlignmentWithoutDiagonal", good, {"--causal-alignment", "top-left"}, 2, "no diagonal"},
      {"Truncated", raw(file.substr(0, file.size() - 1)), {}, 2, "leave the 1535 bytes"},
      {"TruncatedHeader", raw(file.substr(0, 40)), {}, 2, "the file is cut"},
      {"EmptyFile", raw(""), {}, 2, "the file is cut"},
      {"OverflowingLength", raw(raw_safetensors("{}", 0, ~0ull)), {}, 2, "at most 100000000"},
      {"OverflowingShape",
       raw(three_tensors(R"("dtype":"BF16","shape":[4294967296,4294967296,1,16])", kGood, kGood)),
       {},
       2,
       "overflows"},
      {"Overlap",
       raw(raw_safetensors(R"({"q":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                           R"("k":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                           6)),
       {},
       2,
       "overlap"},
      {"MissingData",
       raw(raw_safetensors("{\"q\":{" + kGood + R"(,"data_offsets":[0,512]}})", 0)),
       {},
       2,
       "leave the 0 bytes"},
      {"MissingTensor",
       raw(raw_safetensors("{\"q\":{" + kGood + R"(,"data_offsets":[0,512]}})", 512)),
       {},
       2,
       "tensor k is missing"},
      {"DeepJson", raw(raw_safetensors("{\"q\":" + std::string(1 << 20, '['), 0)), {}, 2, "an object is needed"},
      {"NotSafetensors", raw("PK\x03\x04 some archive of some length"), {}, 2, "at most 100000000"},
      {"NoSuchFile", [](const std::filesystem::path&) {}, {}, 2, "cannot be opened"},
      {"Directory",
       [](const std::filesystem::path& path) { std::filesystem::create_directory(path); },
       {},
       2,
       "not a regular file"},
  };
}

class CommandOnBadInput : public ::testing::TestWithParam<BadInput> {};

TEST_P(CommandOnBadInput, NamesTheRuleAndLeavesNothing) {
  const TemporaryDirectory directory;
  GetParam().write(directory / "in.safetensors");
  std::filesystem::create_directory(directory / "out");
  const std::string output = directory / "out/result.safetensors";
  Words words = {"run", directory / "in.safetensors", "-o", output, "--device", "emulator"};
  if (GetParam().name == "UnknownDevice") words.resize(4);
  words.insert(words.end(), GetParam().words.begin(), GetParam().words.end());
  const Outcome outcome = run_command_line(directory, words);
  EXPECT_EQ(outcome.exit_code, GetParam().exit_code) << outcome.err;
  EXPECT_THAT(outcome.err, StartsWith("flashmask: error: "));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().rule));
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(std::filesystem::is_empty(directory / "out"));
}

INSTANTIATE_TEST_SUITE_P(Rules, CommandOnBadInput, ::testing::ValuesIn(bad_inputs()),
                         [](const auto& named) { return named.param.name; });

TEST(CommandUsage, WrongWordsAreExitCodeTwoWithAHint) {
  const TemporaryDirectory directory;
  for (const Words& words : {Words{}, Words{"walk"}, Words{"run"}, Words{"run", "a", "-o", "b", "--fast"},
                             Words{"compile", "--dtype", "bf16"}, Words{"doctor", "--deep"}}) {
    const Outcome outcome = run_command_line(directory, words);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, ::testing::AllOf(StartsWith("flashmask: error: "), HasSubstr("hint: ")));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(CommandUsage, ADescriptorWithoutAKernelIsExitCodeFour) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(
      directory, {"compile", "--dtype", "bf16", "--head-dim", "100,264", "--form", "c1", "--target", "sm_80"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, ::testing::AllOf(HasSubstr("head_dim_qk = 100"), HasSubstr("head_dim_v = 264")));
}

TEST(CommandUsage, AnOutputThatCannotBeIsToldBeforeTheWork) {
  const TemporaryDirectory directory;
  write_problem({}, directory / "in");
  for (const std::filesystem::path& output : {directory / "missing/out", directory.path(), directory / "in/out"}) {
    const Outcome outcome = run_command_line(directory, {"run", directory / "in", "-o", output});
    EXPECT_EQ(outcome.exit_code, 2) << output;
    EXPECT_THAT(outcome.err, HasSubstr("existing directory is needed"));
  }
}

TEST(CommandUsage, AnEnvironmentThatIsWrongIsNamed) {
  const TemporaryDirectory directory;
  const Outcome outcome = run_command_line(directory, {"doctor"}, {{"FLASHMASK_LOG", "loud"}});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("FLASHMASK_LOG"));
}

}  // namespace
}  // namespace flashmask::test
