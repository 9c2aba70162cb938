#include "tools/command/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "flashmask/error.h"
#include "tests/tools/random_problem.h"
#include "tests/tools/temporary_directory.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;
using safetensors::Layout;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Shape = std::vector<std::uint64_t>;

Layout layout_of(const Shape& query, const Shape& key, const Shape& value, ElementType type = ElementType::kBF16) {
  Layout layout;
  layout.tensors = {{"q", type, query}, {"k", type, key}, {"v", type, value}};
  return layout;
}

/// Two query heads for each of two key heads.
Layout good_layout() {
  return layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {2, 7, 2, 32});
}

Layout with_vectors(int heads, int count) {
  Layout layout = good_layout();
  layout.tensors.push_back({"startend_row_indices",
                            ElementType::kI32,
                            {2, static_cast<std::uint64_t>(heads), 7, static_cast<std::uint64_t>(count)}});
  return layout;
}

struct Refusal {
  ErrorCode code = ErrorCode::kInternal;
  std::string text;
};

Refusal refusal(const Layout& layout, const RunArguments& arguments = {}) {
  try {
    problem_shape(layout, arguments);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

void expect_malformed(const Layout& layout, const std::string& tensor, const std::string& rule) {
  const Refusal refused = refusal(layout);
  EXPECT_EQ(refused.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.text, AllOf(HasSubstr("tensor " + tensor), HasSubstr(rule)));
}

RunArguments causal() {
  RunArguments arguments;
  arguments.causal = true;
  return arguments;
}

TEST(Problem, TakesItsDimensionsFromTheTensors) {
  const auto shape = problem_shape(good_layout(), {});
  EXPECT_EQ(shape.batch, 2);
  EXPECT_EQ(shape.seqlen_q, 5);
  EXPECT_EQ(shape.seqlen_k, 7);
  EXPECT_EQ(shape.num_heads_q, 4);
  EXPECT_EQ(shape.num_heads_kv, 2);
  EXPECT_EQ(shape.head_dim_qk, 64);
  EXPECT_EQ(shape.head_dim_v, 32);
  EXPECT_EQ(shape.dtype, DataType::kBfloat16);
  EXPECT_EQ(shape.mask_form, MaskForm::kNone);
  EXPECT_FLOAT_EQ(shape.softmax_scale, 0.125f);
}

TEST(Problem, TakesTheFormFromCausalAndTheNumberOfVectors) {
  EXPECT_EQ(problem_shape(good_layout(), causal()).mask_form, MaskForm::kCausal);
  EXPECT_EQ(problem_shape(with_vectors(1, 1), causal()).mask_form, MaskForm::kC1);
  EXPECT_EQ(problem_shape(with_vectors(2, 2), causal()).mask_form, MaskForm::kC2);
  EXPECT_EQ(problem_shape(with_vectors(4, 2), {}).mask_form, MaskForm::kF2);
  EXPECT_EQ(problem_shape(with_vectors(4, 4), {}).mask_form, MaskForm::kF4);
  EXPECT_EQ(problem_shape(with_vectors(4, 4), {}).num_heads_mask, 4);
}

TEST(Problem, APairOfCausalAndVectorsWithoutAFormIsUnsupportedAndListsTheLegalOnes) {
  for (const Refusal& refused : {refusal(with_vectors(1, 1)), refusal(with_vectors(1, 4), causal())}) {
    EXPECT_EQ(refused.code, ErrorCode::kUnsupported);
    EXPECT_THAT(refused.text, AllOf(HasSubstr("with --causal n = 1 (LTS) or 2"), HasSubstr("n = 2 (LTS, UTE) or 4")));
  }
}

TEST(Problem, AWindowIsAForm) {
  RunArguments arguments;
  arguments.window = Window{3, -1};
  auto shape = problem_shape(good_layout(), arguments);
  EXPECT_EQ(shape.mask_form, MaskForm::kWindow);
  EXPECT_EQ(shape.window_left, 3);
  EXPECT_EQ(shape.window_right, -1);
  arguments.causal = true;
  shape = problem_shape(good_layout(), arguments);
  EXPECT_EQ(shape.window_left, 3);
  EXPECT_EQ(shape.window_right, 0);
}

TEST(Problem, AWindowTogetherWithIntervalsIsUnsupported) {
  RunArguments arguments = causal();
  arguments.window = Window{3, 0};
  EXPECT_EQ(refusal(with_vectors(1, 1), arguments).code, ErrorCode::kUnsupported);
}

TEST(Problem, AnAlignmentNeedsADiagonal) {
  RunArguments arguments;
  arguments.causal_alignment = CausalAlignment::kTopLeft;
  EXPECT_THAT(refusal(good_layout(), arguments).text, HasSubstr("no diagonal"));
  EXPECT_THAT(refusal(with_vectors(1, 4), arguments).text, HasSubstr("no diagonal"));
  arguments.causal = true;
  EXPECT_EQ(problem_shape(good_layout(), arguments).causal_alignment, CausalAlignment::kTopLeft);
}

TEST(Problem, TensorsThatDoNotFitEachOtherAreRefused) {
  expect_malformed(layout_of({5, 4, 64}, {2, 7, 2, 64}, {2, 7, 2, 32}), "q", "has rank 3; [B,Sq,Hq,D] is needed");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64, 1}, {2, 7, 2, 32}), "k", "has rank 5");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {}), "v", "has rank 0");
  expect_malformed(layout_of({0, 5, 4, 64}, {0, 7, 2, 64}, {0, 7, 2, 32}), "q", "every extent");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 0, 2, 64}, {2, 0, 2, 32}), "k", "every extent");
  expect_malformed(layout_of({2, 5ull << 31, 4, 64}, {2, 7, 2, 64}, {2, 7, 2, 32}), "q", "every extent");
  expect_malformed(layout_of({2, 5, 4, 64}, {1, 7, 2, 64}, {2, 7, 2, 32}), "k", "B = 1, but B of q = 2");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 32}, {2, 7, 2, 32}), "k", "D = 32, but D of q = 64");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {2, 8, 2, 32}), "v", "Sk = 8, but Sk of k = 7");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {2, 7, 4, 32}), "v", "Hk = 4, but Hk of k = 2");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {3, 7, 2, 32}), "v", "B = 3");
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 3, 64}, {2, 7, 3, 32}), "k", "Hk = 3; it must divide Hq = 4");
}

TEST(Problem, TypesOtherThanTheHalfPrecisionsAreRefused) {
  expect_malformed(layout_of({2, 5, 4, 64}, {2, 7, 2, 64}, {2, 7, 2, 32}, ElementType::kF32), "q", "F16 or BF16");
  Layout mixed = good_layout();
  mixed.tensors[1].type = ElementType::kF16;
  expect_malformed(mixed, "k", "BF16 is needed");
  Layout vectors = with_vectors(1, 1);
  vectors.tensors[3].type = ElementType::kI64;
  expect_malformed(vectors, "startend_row_indices", "I32 is needed");
}

TEST(Problem, VectorsThatDoNotFitAreRefused) {
  expect_malformed(with_vectors(3, 2), "startend_row_indices", "Hm = 3; 1, Hk = 2 or Hq = 4");
  expect_malformed(with_vectors(1, 3), "startend_row_indices", "n = 3; 1, 2 or 4");
  Layout short_vectors = with_vectors(1, 2);
  short_vectors.tensors[3].shape[2] = 6;
  expect_malformed(short_vectors, "startend_row_indices", "Sk = 6, but Sk of k = 7");
  short_vectors.tensors[3].shape = {2, 7, 2};
  expect_malformed(short_vectors, "startend_row_indices", "has rank 3; [B,Hm,Sk,n] is needed");
}

RunArguments backward() {
  RunArguments arguments;
  arguments.backward = true;
  return arguments;
}

Layout with_gradients(const Shape& output_gradient, const Shape& lse_gradient = {2, 4, 5}) {
  Layout layout = good_layout();
  layout.tensors.push_back({"dout", ElementType::kBF16, output_gradient});
  layout.tensors.push_back({"dlse", ElementType::kF32, lse_gradient});
  return layout;
}

void expect_malformed_gradient(const Layout& layout, const std::string& tensor, const std::string& rule) {
  const Refusal refused = refusal(layout, backward());
  EXPECT_EQ(refused.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.text, AllOf(HasSubstr("tensor " + tensor), HasSubstr(rule)));
}

TEST(Problem, TheGradientsThatComeInHaveTheShapesOfWhatTheForwardGives) {
  Layout layout = with_gradients({2, 5, 4, 32});
  EXPECT_EQ(refusal(layout, backward()).text, "");
  layout.tensors.pop_back();
  EXPECT_EQ(refusal(layout, backward()).text, "");
  layout.tensors.pop_back();
  expect_malformed_gradient(layout, "dout", "is missing: --backward needs the gradient of the output, [B,Sq,Hq,Dv]");

  expect_malformed_gradient(with_gradients({2, 5, 128}), "dout", "has rank 3; [B,Sq,Hq,Dv] is needed");
  expect_malformed_gradient(with_gradients({1, 5, 4, 32}), "dout", "B = 1, but B of q = 2");
  expect_malformed_gradient(with_gradients({2, 7, 4, 32}), "dout", "Sq = 7, but Sq of q = 5");
  expect_malformed_gradient(with_gradients({2, 5, 2, 32}), "dout", "Hq = 2, but Hq of q = 4");
  expect_malformed_gradient(with_gradients({2, 5, 4, 64}), "dout", "Dv = 64, but Dv of v = 32");
  expect_malformed_gradient(with_gradients({2, 5, 4, 32}, {2, 4, 5, 1}), "dlse", "has rank 4; [B,Hq,Sq] is needed");
  expect_malformed_gradient(with_gradients({2, 5, 4, 32}, {1, 4, 5}), "dlse", "B = 1, but B of q = 2");
  expect_malformed_gradient(with_gradients({2, 5, 4, 32}, {2, 5, 4}), "dlse", "Hq = 5, but Hq of q = 4");
  expect_malformed_gradient(with_gradients({2, 5, 4, 32}, {2, 4, 7}), "dlse", "Sq = 7, but Sq of q = 5");
}

TEST(Problem, TheGradientsThatComeInHaveTheTypesOfWhatTheForwardGives) {
  Layout layout = with_gradients({2, 5, 4, 32});
  layout.tensors[3].type = ElementType::kF16;
  expect_malformed_gradient(layout, "dout", "dtype F16; BF16 is needed, the type of q");
  layout.tensors[3].type = ElementType::kF32;
  expect_malformed_gradient(layout, "dout", "dtype F32; BF16 is needed, the type of q");
  layout.tensors[3].type = layout.tensors[4].type = ElementType::kBF16;
  expect_malformed_gradient(layout, "dlse", "dtype BF16; F32 is needed");
}

TEST(Problem, WithoutABackwardTheGradientsAreNotLookedAt) {
  EXPECT_EQ(refusal(with_gradients({1})).text, "");
}

TEST(Problem, AMissingTensorIsNamed) {
  Layout layout = good_layout();
  layout.tensors.pop_back();
  expect_malformed(layout, "v", "is missing");
}

TEST(Problem, LoadsDataThatItsShapeShows) {
  const test::TemporaryDirectory directory;
  test::RandomProblem random;
  random.vectors = 4;
  test::write_problem(random, directory / "in");
  RunArguments arguments;
  arguments.input = directory / "in";
  const Problem problem = load_problem(arguments);
  EXPECT_EQ(problem.shape.query.size(), 40u * 2 * 32);
  EXPECT_EQ(problem.shape.key.size(), 40u * 32);
  EXPECT_EQ(problem.shape.startend_row_indices.size(), 40u * 4);
  EXPECT_EQ(problem.shape.query.data(), problem.query.data());
  EXPECT_EQ(to_string(problem.descriptor({80, false})), "forward bf16 d32 f4 sm_80");
}

TEST(Problem, LoadsTheGradientsForABackwardAlone) {
  const test::TemporaryDirectory directory;
  test::RandomProblem random;
  random.output_gradient = random.lse_gradient = true;
  test::write_problem(random, directory / "in");
  RunArguments arguments;
  arguments.input = directory / "in";
  EXPECT_TRUE(load_problem(arguments).output_gradient.empty());
  arguments.backward = true;
  const Problem problem = load_problem(arguments);
  EXPECT_EQ(problem.output_gradient.size(), 40u * 2 * 32);
  EXPECT_EQ(problem.lse_gradient.size(), 40u * 2);
  EXPECT_EQ(problem.backward().output_gradient.data(), problem.output_gradient.data());
  EXPECT_EQ(problem.backward().lse_gradient.data(), problem.lse_gradient.data());
  EXPECT_EQ(problem.backward().forward.query.data(), problem.query.data());
  EXPECT_EQ(to_string(problem.descriptor({80, false}, Pass::kBackward)), "backward bf16 d32 none sm_80");
}

TEST(Problem, AFileThatIsNotThereIsWrongUsage) {
  RunArguments arguments;
  arguments.input = "/nonexistent/in.safetensors";
  try {
    load_problem(arguments);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace flashmask::command
