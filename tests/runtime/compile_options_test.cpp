#include <gmock/gmock.h>

#include <algorithm>

#include "runtime/compile/nvrtc_search.h"
#include "runtime/compile/options.h"

namespace flashmask::compile {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::StartsWith;

TEST(CompileOptions, AreTheSameEveryTimeAndNameTheTargetExactly) {
  EXPECT_EQ(nvrtc_options({90, true}, {13, 0}), nvrtc_options({90, true}, {13, 0}));
  EXPECT_THAT(nvrtc_options({90, true}, {13, 0}), Contains("--gpu-architecture=sm_90a"));
  EXPECT_THAT(nvrtc_options({90, false}, {13, 0}), Contains("--gpu-architecture=sm_90"));
}

TEST(CompileOptions, SemanticOnesAreSortedAndAllPassedOn) {
  const auto semantic = semantic_options();
  EXPECT_TRUE(std::is_sorted(semantic.begin(), semantic.end()));
  const auto all = nvrtc_options({80, false}, {13, 0});
  for (std::string_view option : semantic) EXPECT_THAT(all, Contains(option));
}

TEST(CompileOptions, WhatOnlySteersTheCompilerIsNotSemantic) {
  for (std::string_view option : semantic_options()) {
    EXPECT_THAT(option, Not(StartsWith("--no-cache")));
    EXPECT_THAT(option, Not(StartsWith("--ptxas-options")));
    EXPECT_THAT(option, Not(StartsWith("--gpu-architecture")));
  }
}

TEST(CompileOptions, AnOldCompilerIsNotGivenWhatItDoesNotKnow) {
  const auto old_options = nvrtc_options({80, false}, {12, 4});
  EXPECT_THAT(old_options, Not(Contains("--no-cache")));
  EXPECT_THAT(old_options, Not(Contains(StartsWith("--frandom-seed"))));
  const auto new_options = nvrtc_options({80, false}, {12, 9});
  EXPECT_THAT(new_options, Contains("--no-cache"));
  EXPECT_THAT(new_options, Contains(StartsWith("--frandom-seed=")));
}

TEST(NvrtcSearch, APathOfThePolicyIsTheOnlyPlace) {
  Policy policy;
  policy.nvrtc_path = "/somewhere/libnvrtc.so.13";
  policy.cuda_toolkits = {"/toolkit"};
  const auto candidates = nvrtc_candidates(policy);
  ASSERT_EQ(candidates.size(), 1u);
  EXPECT_EQ(candidates[0].name, "/somewhere/libnvrtc.so.13");
}

TEST(NvrtcSearch, NamedToolkitsComeBeforeTheLoaderAndTheUsualPlace) {
  Policy policy;
  policy.cuda_toolkits = {"/toolkit"};
  std::vector<std::string> names;
  for (const NvrtcCandidate& candidate : nvrtc_candidates(policy)) names.push_back(candidate.name);
  const auto place = [&](const char* name) { return std::find(names.begin(), names.end(), name) - names.begin(); };
  EXPECT_LT(place("/toolkit/lib64/libnvrtc.so.13"), place("/toolkit/lib/libnvrtc.so.13"));
  EXPECT_LT(place("/toolkit/lib/libnvrtc.so.12"), place("libnvrtc.so.13"));
  EXPECT_LT(place("libnvrtc.so.13"), place("libnvrtc.so.12"));
  EXPECT_LT(place("libnvrtc.so.12"), place("/usr/local/cuda/lib64/libnvrtc.so.13"));
  EXPECT_THAT(names, Contains("/usr/local/cuda/lib64/libnvrtc.so.12"));
}

}  // namespace
}  // namespace flashmask::compile
