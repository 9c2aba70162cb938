#include "tools/command/mask_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/mask_builders.h"
#include "tests/tools/temporary_directory.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;
using safetensors::Layout;
using test::TemporaryDirectory;
using ::testing::HasSubstr;

/// A file of a mask [2, 3, 16, n] and what the command was told.
struct Input {
  Layout layout;
  MaskSource source;

  explicit Input(std::uint64_t count = 1) {
    layout.tensors = {{.name = "startend_row_indices", .type = ElementType::kI32, .shape = {2, 3, 16, count}}};
  }
  Input& causal() {
    source.causal = true;
    return *this;
  }
  Input& query(std::vector<std::uint64_t> shape) {
    layout.tensors.push_back({.name = "q", .type = ElementType::kF16, .shape = std::move(shape)});
    return *this;
  }
  Input& metadata(const std::string& key, const std::string& value) {
    layout.metadata[key] = value;
    return *this;
  }
  MaskShape shape() const { return mask_file_shape(layout, source); }
};

TEST(MaskFile, OptionsSayWhatAFileWithoutMetadataIs) {
  const MaskShape shape = Input(2).causal().shape();
  EXPECT_EQ(shape.form, MaskForm::kC2);
  EXPECT_EQ(shape.batch, 2);
  EXPECT_EQ(shape.num_heads, 3);
  EXPECT_EQ(shape.seqlen_k, 16);
  EXPECT_EQ(shape.seqlen_q, 16);
  EXPECT_EQ(Input(2).shape().form, MaskForm::kF2);
  EXPECT_EQ(Input(4).shape().form, MaskForm::kF4);
}

TEST(MaskFile, MetadataSayItWithoutOptions) {
  Input input(1);
  input.metadata("causal", "true").metadata("causal_alignment", "top-left").metadata("seqlen_q", "5");
  EXPECT_EQ(input.shape().form, MaskForm::kC1);
  EXPECT_EQ(input.shape().causal_alignment, CausalAlignment::kTopLeft);
  EXPECT_EQ(input.shape().seqlen_q, 5);
  EXPECT_EQ(input.causal().shape().form, MaskForm::kC1);
}

TEST(MaskFile, TheRowsAreThoseOfTheQueries) {
  EXPECT_EQ(Input(2).query({2, 7, 3, 64}).shape().seqlen_q, 7);
  Input asked(2);
  asked.source.seqlen_q = 9;
  EXPECT_EQ(asked.shape().seqlen_q, 9);
}

TEST(MaskFile, AWrittenMaskComesBack) {
  const TemporaryDirectory directory;
  MaskSource source;
  source.subject = directory / "mask";
  const std::vector<Mask> masks = {masks::causal({5, 9}, CausalAlignment::kTopLeft), masks::full({5, 9}),
                                   masks::window({5, 9}, 2, 1), masks::tri_shape(9, 1, 2, 2),
                                   masks::global_sliding_window(9, 1, 1).expanded(2, 3)};
  for (const Mask& mask : masks) {
    const Mask written = with_vectors(mask);
    write_mask_file(written, source.subject);
    const Mask read = read_mask_file(source);
    EXPECT_EQ(read, written);
    EXPECT_EQ(read.normalised(), mask.normalised());
  }
}

struct Refusal {
  std::string name;
  std::function<void(Input&)> change;  ///< of a causal file with n = 1
  std::string rule;
};
void PrintTo(const Refusal& refusal, std::ostream* stream) {
  *stream << refusal.name;
}

std::vector<Refusal> refusals() {
  const auto metadata = [](const std::string& key, const std::string& value) {
    return [=](Input& input) { input.metadata(key, value); };
  };
  const auto shape = [](std::vector<std::uint64_t> extents) {
    return [=](Input& input) { input.layout.tensors[0].shape = extents; };
  };
  return {
      {"NoTensor", [](Input& input) { input.layout.tensors.clear(); }, "tensor startend_row_indices is missing"},
      {"Type", [](Input& input) { input.layout.tensors[0].type = ElementType::kI64; }, "dtype I64; I32 is needed"},
      {"Rank", shape({16, 1}), "has rank 2; [B,Hm,Sk,n] is needed"},
      {"EmptyBatch", shape({0, 3, 16, 1}), "every extent"},
      {"HugeBatch", shape({1ull << 40, 3, 16, 1}), "every extent"},
      {"NoKeys", shape({2, 3, 0, 1}), "every extent"},
      {"TooManyKeys", shape({2, 3, (1ull << 29) + 1, 1}), "every extent"},
      {"ThreeVectors", shape({2, 3, 16, 3}), "n = 3 in a mask that is causal; legal are"},
      {"FourVectorsCausal", shape({2, 3, 16, 4}), "n = 4 in a mask that is causal; legal are"},
      {"OneVectorNotCausal", [](Input& input) { input.source.causal = false; }, "n = 1 in a mask that is not causal"},
      {"CausalIsNot", metadata("causal", "false"), "--causal: the file's metadata say causal = false"},
      {"CausalIsWhat", metadata("causal", "yes"), "true or false is needed"},
      {"Alignment", metadata("causal_alignment", "middle"), "bottom-right or top-left is needed"},
      {"OtherAlignment",
       [](Input& input) {
         input.metadata("causal_alignment", "top-left").source.causal_alignment = CausalAlignment::kBottomRight;
       },
       "metadata causal_alignment says top-left, but --causal-alignment says bottom-right"},
      {"AlignmentWithoutDiagonal",
       [](Input& input) {
         input.layout.tensors[0].shape[3] = 2;
         input.source.causal = false;
         input.source.causal_alignment = CausalAlignment::kTopLeft;
       },
       "no diagonal to align"},
      {"Form", metadata("mask_form", "f4"), "but n = 1 and causal = true are c1"},
      {"NoRows", metadata("seqlen_q", "0"), "an integer from 1"},
      {"RowsAreNoNumber", metadata("seqlen_q", "16 "), "an integer from 1"},
      {"OtherRows", [](Input& input) { input.metadata("seqlen_q", "5").source.seqlen_q = 6; },
       "metadata seqlen_q says 5, but --seqlen-q says 6"},
      {"RowsOfQueries", [](Input& input) { input.query({2, 7, 3, 64}).metadata("seqlen_q", "5"); },
       "tensor q says 7, but the file's metadata seqlen_q says 5"},
      {"RankOfQueries", [](Input& input) { input.query({7, 64}); }, "tensor q: shape [7, 64]"},
      {"OtherKeys", [](Input& input) { input.source.seqlen_k = 15; }, "startend_row_indices has 16 keys"},
      {"Parameters", [](Input& input) { input.source.parameters = {"window=3"}; }, "a file has no parameters"},
  };
}

class MaskFileThatIsWrong : public ::testing::TestWithParam<Refusal> {};

TEST_P(MaskFileThatIsWrong, IsRefusedWithTheRule) {
  Input input;
  input.causal();
  GetParam().change(input);
  try {
    static_cast<void>(input.shape());
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr(GetParam().rule));
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, MaskFileThatIsWrong, ::testing::ValuesIn(refusals()),
                         [](const auto& named) { return named.param.name; });

}  // namespace
}  // namespace flashmask::command
