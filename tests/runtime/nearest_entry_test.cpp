#include "runtime/nearest_entry.h"

#include <gmock/gmock.h>

namespace flashmask {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

KernelDescriptor wanted_descriptor() {
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kC1;
  descriptor.target = {90, true};
  return descriptor;
}

WantedKernel wanted_kernel() {
  return {"aaaaaaaaaaaaaaaa", wanted_descriptor(), {.tile_q = 128, .tile_k = 96, .warps = 8, .stages = 2}, ""};
}

/// The wanted one in the cache.
CachedKernel same(const std::string& digest = "aaaaaaaaaaaaaaaa") {
  const WantedKernel wanted = wanted_kernel();
  return {digest, wanted.descriptor, wanted.config, "nvrtc 13.0.88"};
}

TEST(NearestEntry, AnEmptyCacheHasNone) {
  EXPECT_FALSE(nearest_entry(wanted_kernel(), {}));
}

TEST(NearestEntry, TheKernelItselfDiffersInNothing) {
  const CachedKernel cached[] = {same()};
  EXPECT_THAT(nearest_entry(wanted_kernel(), cached)->differences, IsEmpty());
}

TEST(NearestEntry, EveryFieldOfADescriptorIsNamedWithBothValues) {
  CachedKernel other = same("b");
  other.descriptor = {Pass::kBackward, DataType::kFloat16,        64,          32,
                      MaskForm::kC2,   CausalAlignment::kTopLeft, {80, false}, true};
  const auto nearest = nearest_entry(wanted_kernel(), std::span(&other, 1));
  EXPECT_EQ(nearest->digest, "b");
  EXPECT_EQ(nearest->toolchain, "nvrtc 13.0.88");
  EXPECT_THAT(
      nearest->differences,
      ElementsAre(FieldDifference{"pass", "forward", "backward"}, FieldDifference{"dtype", "bf16", "fp16"},
                  FieldDifference{"head_dim_qk", "128", "64"}, FieldDifference{"head_dim_v", "128", "32"},
                  FieldDifference{"mask_form", "c1", "c2"},
                  FieldDifference{"causal_alignment", "bottom-right", "top-left"},
                  FieldDifference{"target", "sm_90a", "sm_80"}, FieldDifference{"deterministic", "false", "true"}));
}

TEST(NearestEntry, EveryFieldOfAConfigurationIsNamedWithBothValues) {
  CachedKernel other = same("b");
  other.config = {.tile_q = 64,
                  .tile_k = 32,
                  .warps = 4,
                  .stages = 3,
                  .query_in_registers = true,
                  .column_warps = 2,
                  .overlap = true,
                  .turns = true,
                  .query_slots = 2};
  EXPECT_THAT(nearest_entry(wanted_kernel(), std::span(&other, 1))->differences,
              ElementsAre(FieldDifference{"tile_q", "128", "64"}, FieldDifference{"tile_k", "96", "32"},
                          FieldDifference{"warps", "8", "4"}, FieldDifference{"stages", "2", "3"},
                          FieldDifference{"query_in_registers", "false", "true"},
                          FieldDifference{"column_warps", "1", "2"}, FieldDifference{"overlap", "false", "true"},
                          FieldDifference{"turns", "false", "true"}, FieldDifference{"query_slots", "1", "2"}));
}

TEST(NearestEntry, AToolchainThatThePolicyDoesNotTakeIsADifference) {
  WantedKernel wanted = wanted_kernel();
  wanted.toolchain = "12";
  const CachedKernel cached[] = {same()};
  EXPECT_THAT(nearest_entry(wanted, cached)->differences,
              ElementsAre(FieldDifference{"toolchain", "12", "nvrtc 13.0.88"}));
}

TEST(NearestEntry, TheSameKernelUnderAnotherDigestIsOfAnotherText) {
  const CachedKernel cached[] = {same("bbbbbbbbbbbbbbbb")};
  EXPECT_THAT(nearest_entry(wanted_kernel(), cached)->differences,
              ElementsAre(FieldDifference{"text of the kernel", "aaaaaaaaaaaa", "bbbbbbbbbbbb"}));
}

TEST(NearestEntry, FieldsOfTheDescriptorCountBeforeAllOthers) {
  CachedKernel other_form = same("b"), other_config = same("c"), other_text = same("d");
  other_form.descriptor.mask_form = MaskForm::kF4;
  other_config.config.stages = 3;
  other_config.config.tile_k = 128;
  std::vector<CachedKernel> cached = {other_form};
  EXPECT_EQ(nearest_entry(wanted_kernel(), cached)->digest, "b");
  cached.push_back(other_config);
  EXPECT_EQ(nearest_entry(wanted_kernel(), cached)->digest, "c");
  cached.push_back(other_text);
  EXPECT_EQ(nearest_entry(wanted_kernel(), cached)->digest, "d");
}

TEST(NearestEntry, OfSeveralAlikeTheLeastDigestIsTakenWhateverTheirOrder) {
  std::vector<CachedKernel> cached;
  for (const char* digest : {"c", "b", "d"}) {
    cached.push_back(same(digest));
    cached.back().descriptor.dtype = DataType::kFloat16;
  }
  EXPECT_EQ(nearest_entry(wanted_kernel(), cached)->digest, "b");
  std::swap(cached[0], cached[1]);
  EXPECT_EQ(nearest_entry(wanted_kernel(), cached)->digest, "b");
}

}  // namespace
}  // namespace flashmask
