#include "generator/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "generator/forward_layout.h"
#include "tests/generator/all_targets.h"

namespace flashmask::generator {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

constexpr TileConfig kConfig{128, 64, 4, 2, false};
constexpr TileConfig kWgmmaConfig{.tile_q = 128, .tile_k = 128, .warps = 8, .stages = 2};
constexpr Target kHopper{90, true};

KernelDescriptor descriptor_of(MaskForm form, int head_dim = 64, Target target = {}) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.mask_form = form;
  descriptor.target = target;
  return descriptor;
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// Some descriptors and configurations of forwards that differ in every field.
std::vector<KernelSource> variety() {
  std::vector<KernelSource> sources;
  for (const Target& target : {Target{80, false}, kHopper}) {
    for (MaskForm form : test::kAllForms) {
      for (int head_dim : {8, 64, 128, 200, 256}) {
        const KernelDescriptor descriptor = descriptor_of(form, head_dim, target);
        sources.push_back(generate(descriptor, default_tile_config(descriptor)));
      }
    }
  }
  return sources;
}

struct Request {
  KernelDescriptor descriptor;
  TileConfig config;
};

/// What differs in the request must differ in the text.
void expect_a_text_of_its_own_for_each(const std::map<std::string, Request>& requests) {
  std::map<std::string, std::string> text_to_name;
  for (const auto& [name, request] : requests) {
    const KernelSource source = generate(request.descriptor, request.config);
    const auto [found, inserted] = text_to_name.emplace(source.text, name);
    EXPECT_TRUE(inserted) << name << " gives the same text as " << found->second;
    EXPECT_EQ(source.descriptor, request.descriptor) << name;
    EXPECT_EQ(source.config, request.config) << name;
  }
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
  std::map<std::string, Request> requests;
  const auto changed = [&](const char* field) -> Request& {
    return requests.emplace(field, Request{descriptor_of(MaskForm::kC1), kConfig}).first->second;
  };
  changed("nothing");
  changed("dtype").descriptor.dtype = DataType::kFloat16;
  changed("head_dim_qk").descriptor.head_dim_qk = 72;
  changed("head_dim_v").descriptor.head_dim_v = 72;
  changed("mask_form").descriptor.mask_form = MaskForm::kC2;
  changed("causal_alignment").descriptor.causal_alignment = CausalAlignment::kTopLeft;
  changed("target").descriptor.target = {100, false};
  changed("arch_specific").descriptor.target = {100, true};
  changed("tile_q").config.tile_q = 64;
  changed("tile_k").config.tile_k = 32;
  changed("warps").config.warps = 8;
  changed("stages").config.stages = 3;
  changed("query_in_registers").config.query_in_registers = true;
  expect_a_text_of_its_own_for_each(requests);
}

TEST(Generate, GivesAnotherTextWhereAnyFieldOfAWgmmaKernelDiffers) {
  std::map<std::string, Request> requests;
  const auto changed = [&](const char* field) -> Request& {
    return requests.emplace(field, Request{descriptor_of(MaskForm::kC1, 64, kHopper), kWgmmaConfig}).first->second;
  };
  changed("nothing");
  changed("dtype").descriptor.dtype = DataType::kFloat16;
  changed("head_dim_qk").descriptor.head_dim_qk = 72;
  changed("head_dim_v").descriptor.head_dim_v = 72;
  changed("mask_form").descriptor.mask_form = MaskForm::kC2;
  changed("causal_alignment").descriptor.causal_alignment = CausalAlignment::kTopLeft;
  Request& warps = changed("warps, and with them tile_q");
  warps.config.warps = 4;
  warps.config.tile_q = 64;
  changed("tile_k").config.tile_k = 32;
  changed("stages").config.stages = 3;
  changed("overlap").config.overlap = true;
  changed("turns").config.turns = true;
  changed("query_slots").config.query_slots = 2;
  Request& mma = changed("target");
  mma.descriptor.target = {90, false};
  expect_a_text_of_its_own_for_each(requests);
}

TEST(Generate, TakesWgmmaAndTensorCopiesForSm90aAlone) {
  for (const KernelSource& source : variety()) {
    const bool is_hopper = source.descriptor.target == kHopper;
    EXPECT_EQ(occurrences(source.text, "wgmma.mma_async") > 0, is_hopper) << source.entry;
    EXPECT_EQ(occurrences(source.text, "cp.async.bulk.tensor") > 0, is_hopper) << source.entry;
  }
}

TEST(Generate, TellsAWgmmaKernelItsScheduleAndTheRegistersOfItsWarpgroups) {
  TileConfig config = kWgmmaConfig;
  const auto config_text = [&](MaskForm form) { return generate(descriptor_of(form, 64, kHopper), config).generated; };
  EXPECT_THAT(config_text(MaskForm::kNone),
              AllOf(HasSubstr("kOverlaps = false;"), HasSubstr("kTakesTurns = false;"), HasSubstr("kQuerySlots = 1;")));
  config.overlap = config.turns = true;
  config.query_slots = 2;
  EXPECT_THAT(config_text(MaskForm::kNone),
              AllOf(HasSubstr("kOverlaps = true;"), HasSubstr("kTakesTurns = true;"), HasSubstr("kQuerySlots = 2;")));
  for (const int warps : {4, 8, 12}) {
    for (MaskForm form : test::kAllForms) {
      config.warps = warps;
      config.tile_q = 16 * warps;
      const RegisterShares shares = register_shares(descriptor_of(form, 64, kHopper), config);
      EXPECT_THAT(config_text(form), AllOf(HasSubstr("kProducerRegisters = " + std::to_string(shares.producer) + ";"),
                                           HasSubstr("kConsumerRegisters = " + std::to_string(shares.consumer) + ";")));
      // What setmaxnreg takes, and no more than the launch gave all of them: a warpgroup would wait for ever.
      for (const int registers : {shares.producer, shares.consumer}) {
        EXPECT_EQ(registers % 8, 0) << warps << " " << to_string(form);
        EXPECT_GE(registers, 24) << warps << " " << to_string(form);
        EXPECT_LE(registers, 256) << warps << " " << to_string(form);
      }
      const ResourceEstimate given = estimate_resources(descriptor_of(form, 64, kHopper), config);
      EXPECT_LE(128 * shares.producer + 32 * warps * shares.consumer,
                32 * given.warps_per_cta * given.registers_per_thread)
          << warps << " " << to_string(form);
    }
  }
}

TEST(Generate, DistinguishesEveryMaskForm) {
  std::map<std::string, MaskForm> seen;
  for (MaskForm form : test::kAllForms) {
    EXPECT_TRUE(seen.emplace(generate(descriptor_of(form), kConfig).text, form).second) << to_string(form);
    EXPECT_TRUE(seen.emplace(generate(descriptor_of(form, 64, kHopper), kWgmmaConfig).text, form).second)
        << to_string(form);
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
    // With wgmma, a warpgroup besides that brings the data.
    EXPECT_EQ(source.threads, 32 * (source.config.warps + (source.descriptor.target == kHopper ? 4 : 0)));
    EXPECT_EQ(source.threads, 32 * estimate_resources(source.descriptor, source.config).warps_per_cta);
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
