#include "flashmask/mask_kinds.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "flashmask/mask_builders.h"
#include "tests/mask/seen.h"

namespace flashmask::mask_tests {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(MaskKinds, HaveNamesAndTextsFitForACommandLine) {
  std::set<std::string_view> names;
  const std::set<std::string_view> groups = {"paper", "language", "vision", "diffusion", "permutation"};
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(kind.name);
    EXPECT_TRUE(names.insert(kind.name).second) << "twice";
    EXPECT_THAT(std::string(kind.name), MatchesRegex("[a-z][a-z-]*[a-z]"));
    EXPECT_TRUE(groups.contains(kind.group)) << kind.group;
    EXPECT_FALSE(kind.summary.empty());
    EXPECT_EQ(kind.permuted, kind.group == "permutation");
    std::set<std::string_view> parameters;
    for (const MaskParameter& parameter : kind.parameters) {
      EXPECT_TRUE(parameters.insert(parameter.name).second) << parameter.name;
      EXPECT_THAT(std::string(parameter.name), MatchesRegex("[a-z][a-z-]*[a-z]"));
      EXPECT_FALSE(parameter.summary.empty());
      EXPECT_FALSE(parameter.required && !parameter.default_value.empty());
    }
    EXPECT_EQ(&find_mask_kind(kind.name), &kind);
  }
  EXPECT_GE(names.size(), 39U);
}

TEST(MaskKinds, EveryExampleBuildsInTheFormThatItNames) {
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(kind.name);
    const Mask mask = build_mask(kind.name, kind.example_arguments(), kind.example_seqlen_q, kind.example_seqlen_k);
    EXPECT_THAT(std::string(kind.form), HasSubstr(std::string(to_string(mask.shape().form))));
    EXPECT_EQ(mask.shape().seqlen_q, kind.example_seqlen_q);
    EXPECT_EQ(mask.shape().seqlen_k, kind.example_seqlen_k);
    const std::vector<std::uint8_t> visible = seen(mask);
    EXPECT_GT(std::count(visible.begin(), visible.end(), 1), 0);
    // Without the parameters that have defaults it builds as well, unless they must fit the example's lengths.
    MaskArguments needed = kind.example_arguments();
    for (const MaskParameter& parameter : kind.parameters) {
      if (!parameter.required && parameter.name != "context") needed.erase(std::string(parameter.name));
    }
    EXPECT_EQ(build_mask(kind.name, needed, kind.example_seqlen_q, kind.example_seqlen_k).extents().seqlen_k,
              kind.example_seqlen_k);
  }
}

TEST(MaskKinds, ReachTheirBuilders) {
  EXPECT_EQ(build_mask("window", {{"left", "3"}, {"right", "-1"}, {"causal-alignment", "top-left"}}, 4, 9),
            masks::window({4, 9}, 3, -1, CausalAlignment::kTopLeft));
  EXPECT_EQ(build_mask("sliding-window", {{"window", "128"}}, 512, 1024), masks::sliding_window({512, 1024}, 128));
  EXPECT_EQ(build_mask("causal-documents", {{"document-lengths", "5,3x2,1"}}, 12, 12),
            masks::causal_documents(12, {5, 2, 2, 2, 1}));
  EXPECT_EQ(build_mask("share-question", {{"samples", "4/2x3,2"}}, 12, 12),
            masks::share_question(12, {{4, {3, 3}}, {2, {}}}));
}

TEST(MaskKinds, RandomEvictionMayHaveHeads) {
  const Mask mask = build_mask("random-eviction", {{"budget", "4"}, {"num-heads", "3"}, {"seed", "7"}}, 16, 16);
  EXPECT_EQ(mask, masks::random_eviction(16, 4, 3, 7));
}

TEST(MaskKinds, EmptyListsAreLists) {
  EXPECT_EQ(build_mask("image-spans", {{"images", ""}}, 6, 6), masks::image_spans(6, {}));
  EXPECT_EQ(build_mask("sep-llm", {{"separators", ""}, {"window", "2"}, {"sinks", "0"}}, 6, 6),
            masks::sep_llm(6, {}, 0, 2));
}

std::string refusal(std::string_view kind, const MaskArguments& arguments, int q = 16, int k = 16) {
  return error_of([&] { (void)build_mask(kind, arguments, q, k); });
}

TEST(MaskKinds, UnknownKindsAndParametersListTheLegalOnes) {
  EXPECT_THAT(refusal("sliding", {}), HasSubstr("mask kind sliding: not known; known are full, causal, window, "));
  EXPECT_EQ(refusal("window", {{"size", "4"}}),
            "mask kind window has no parameter size: the parameters of window are left (required), right (required), "
            "causal-alignment");
  EXPECT_EQ(refusal("full", {{"size", "4"}}), "mask kind full has no parameter size: kind full has no parameters");
  EXPECT_EQ(refusal("sliding-window", {}),
            "mask kind sliding-window needs the parameter window (keys that a row sees): the parameters of "
            "sliding-window are window (required)");
}

TEST(MaskKinds, MalformedTextsAreNamedWithTheirSyntax) {
  for (const char* text : {"", "x", "4x", "1.5", " 4", "4 ", "99999999999", "0x10"}) {
    EXPECT_EQ(refusal("sliding-window", {{"window", text}}),
              "window = \"" + std::string(text) + "\" of mask kind sliding-window: an integer is needed");
  }
  for (const char* text : {",", "5,", ",5", "5;4", "-1x4", "x4", "4x", "1x2x3", "999999999x1"}) {
    EXPECT_THAT(refusal("documents", {{"document-lengths", text}}), HasSubstr("a list of integers such as 5,7,4x16"));
  }
  for (const char* text : {"4", "4:", ":4", "4-5", "4:5:6", "1:2,,3:4"}) {
    EXPECT_THAT(refusal("gist", {{"gist-spans", text}}), HasSubstr("a list of spans such as 0:4,9:12"));
  }
  for (const char* text : {"/", "4/", "4//2", ",", "4,,2"}) {
    EXPECT_THAT(refusal("share-question", {{"samples", text}}), HasSubstr("joined by slashes such as 6/4/3,5/2"));
  }
  EXPECT_THAT(refusal("padding-left", {{"tokens", "4"}, {"causal", "yes"}}), HasSubstr("0 or 1 is needed"));
  EXPECT_THAT(refusal("causal", {{"causal-alignment", "left"}}), HasSubstr("bottom-right or top-left is needed"));
}

TEST(MaskKinds, WhatTheBuildersRefuseIsRefused) {
  EXPECT_EQ(refusal("documents", {{"document-lengths", "5,6"}}),
            "the 2 document_lengths sum up to 11: seqlen_k = 16 is needed");
  EXPECT_EQ(refusal("prefix-lm-documents", {{"document-lengths", "8,8"}, {"prefix-lengths", "8"}}),
            "prefix-lengths has 1 elements, document-lengths 2: as many are needed");
  EXPECT_EQ(refusal("padding-left", {{"tokens", "17"}}), "tokens = 17: 1 to 16 is needed");
}

TEST(MaskKinds, LengthsThatFollowFromTheParametersAreChecked) {
  EXPECT_EQ(refusal("image-windows", {{"height", "4"}, {"width", "6"}, {"window-height", "2"}, {"window-width", "3"}},
                    24, 20),
            "seqlen_q = 24, seqlen_k = 20: mask kind image-windows with these parameters is 24 by 24");
  EXPECT_EQ(refusal("dilated", {{"dilation", "2"}}, 8, 16),
            "seqlen_q = 8, seqlen_k = 16: mask kind dilated with these parameters is 16 by 16");
}

}  // namespace
}  // namespace flashmask::mask_tests
