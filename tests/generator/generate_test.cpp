#include "generator/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace flashmask::generator {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr TileConfig kConfig{128, 64, 4, 2, false};

KernelDescriptor descriptor_of(MaskForm form, int head_dim = 64) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.mask_form = form;
  return descriptor;
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// Some descriptors and configurations that differ in every field.
std::vector<KernelSource> variety() {
  std::vector<KernelSource> sources;
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4}) {
    for (int head_dim : {8, 64, 128, 200, 256}) {
      const KernelDescriptor descriptor = descriptor_of(form, head_dim);
      sources.push_back(generate(descriptor, default_tile_config(descriptor)));
    }
  }
  return sources;
}

TEST(Generate, GivesEqualBytesForEqualInput) {
  for (const KernelSource& source : variety()) {
    const KernelSource again = generate(source.descriptor, source.config);
    EXPECT_EQ(source.text, again.text);
    EXPECT_EQ(source.entry, again.entry);
    EXPECT_EQ(source.threads, again.threads);
    EXPECT_EQ(source.shared_bytes, again.shared_bytes);
    EXPECT_EQ(source.generated, again.generated);
    EXPECT_EQ(source.template_digests, again.template_digests);
  }
}

TEST(Generate, GivesAnotherTextWhereAnyFieldDiffers) {
  struct Request {
    KernelDescriptor descriptor = descriptor_of(MaskForm::kC1);
    TileConfig config = kConfig;
  };
  std::map<std::string, Request> requests;
  requests["base"] = {};
  requests["dtype"].descriptor.dtype = DataType::kFloat16;
  requests["head_dim_qk"].descriptor.head_dim_qk = 72;
  requests["head_dim_v"].descriptor.head_dim_v = 72;
  requests["mask_form"].descriptor.mask_form = MaskForm::kC2;
  requests["causal_alignment"].descriptor.causal_alignment = CausalAlignment::kTopLeft;
  requests["target"].descriptor.target = {90, false};
  requests["arch_specific"].descriptor.target = {90, true};
  requests["tile_q"].config.tile_q = 64;
  requests["tile_k"].config.tile_k = 32;
  requests["warps"].config.warps = 8;
  requests["stages"].config.stages = 3;
  requests["query_in_registers"].config.query_in_registers = true;

  std::map<std::string, std::string> text_to_name;
  for (const auto& [name, request] : requests) {
    const KernelSource source = generate(request.descriptor, request.config);
    const auto [found, inserted] = text_to_name.emplace(source.text, name);
    EXPECT_TRUE(inserted) << name << " gives the same text as " << found->second;
    EXPECT_EQ(source.descriptor, request.descriptor) << name;
    EXPECT_EQ(source.config, request.config) << name;
  }
}

TEST(Generate, DistinguishesEveryMaskForm) {
  std::map<std::string, MaskForm> seen;
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4}) {
    EXPECT_TRUE(seen.emplace(generate(descriptor_of(form), kConfig).text, form).second) << to_string(form);
  }
}

TEST(Generate, EmitsOneTextWithoutAnyInclude) {
  for (const KernelSource& source : variety()) {
    EXPECT_EQ(occurrences(source.text, "#include"), 0u) << source.entry;
    EXPECT_EQ(occurrences(source.text, "#pragma once"), 0u) << source.entry;
    EXPECT_EQ(occurrences(source.text, "\r"), 0u) << source.entry;
    EXPECT_EQ(occurrences(source.text, std::string(1, '\0')), 0u) << source.entry;
  }
}

TEST(Generate, EmitsOneExternCEntryOfTheNamePromised) {
  for (const KernelSource& source : variety()) {
    EXPECT_EQ(occurrences(source.text, "extern \"C\""), 1u) << source.entry;
    EXPECT_EQ(occurrences(source.text, "__global__"), 1u) << source.entry;
    EXPECT_EQ(occurrences(source.text, source.entry + "("), 1u) << source.entry;
    EXPECT_TRUE(std::ranges::all_of(source.entry, [](char c) { return c == '_' || std::isalnum(c); })) << source.entry;
  }
}

TEST(Generate, EmitsEveryKernelThatWritesAMaskInOneText) {
  std::vector<std::string> texts;
  for (MaskForm form : {MaskForm::kC1, MaskForm::kF2}) {
    const KernelSource source = generate(KernelDescriptor::mask_build(form, {}), {});
    EXPECT_THAT(source.entries, SizeIs(5));
    EXPECT_EQ(occurrences(source.text, "__global__"), 5u);
    for (const std::string& entry : source.entries) EXPECT_EQ(occurrences(source.text, entry + "("), 1u) << entry;
    EXPECT_EQ(occurrences(source.text, "#include"), 0u);
    EXPECT_THAT(source.text, HasSubstr("__launch_bounds__(" + std::to_string(source.threads)));
    texts.push_back(source.text);
  }
  EXPECT_NE(texts[0], texts[1]);
}

TEST(Generate, SaysHowToLaunchWhatItEmits) {
  for (const KernelSource& source : variety()) {
    EXPECT_EQ(source.threads, 32 * source.config.warps);
    EXPECT_EQ(source.shared_bytes, estimate_resources(source.descriptor, source.config).shared_bytes);
    EXPECT_THAT(source.text, HasSubstr("__launch_bounds__(" + std::to_string(source.threads)));
  }
}

TEST(Generate, GivesPartsThatStandForTheText) {
  // The cache key is taken over the parts: other text must mean other parts, and other parts other text.
  std::map<std::pair<std::vector<std::string_view>, std::string>, std::string> text_of_parts;
  for (const KernelSource& source : variety()) {
    EXPECT_FALSE(source.template_digests.empty());
    for (std::string_view digest : source.template_digests) {
      EXPECT_THAT(digest, SizeIs(64));
      EXPECT_EQ(digest.find_first_not_of("0123456789abcdef"), std::string_view::npos) << digest;
    }
    EXPECT_TRUE(text_of_parts.emplace(std::pair(source.template_digests, source.generated), source.text).second);
  }
}

TEST(Generate, RefusesWithEveryBrokenRule) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 100;
  descriptor.target = {75, false};
  TileConfig config = kConfig;
  config.warps = 9;
  config.stages = 1;
  try {
    generate(descriptor, config);
    FAIL() << "an illegal request was served";
  } catch (const InvalidRequest& error) {
    EXPECT_EQ(error.rules(), broken_rules(descriptor, config));
    EXPECT_GE(error.rules().size(), 4u);
    for (const std::string& rule : error.rules()) EXPECT_THAT(error.what(), HasSubstr(rule));
  }
}

}  // namespace
}  // namespace flashmask::generator
