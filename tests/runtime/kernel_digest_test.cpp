#include "runtime/store/kernel_digest.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "flashmask/manifest.h"
#include "flashmask/runtime.h"
#include "runtime/compile/options.h"

namespace flashmask {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

struct Request {
  KernelDescriptor descriptor;
  TileConfig config;
};

cache::Digest digest_of_request(const Request& request) {
  return digest_of(generator::generate(request.descriptor, request.config));
}

/// One of every kind of kernel, with the default tiles.
std::vector<Request> kinds() {
  std::vector<Request> requests;
  for (const Target target : {Target{80, false}, Target{90, true}, Target{120, false}}) {
    for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
      for (const MaskForm form : {MaskForm::kNone, MaskForm::kC1, MaskForm::kF4}) {
        KernelDescriptor descriptor;
        descriptor.pass = pass;
        descriptor.mask_form = form;
        descriptor.target = target;
        requests.push_back({descriptor, default_tile_config(descriptor)});
      }
    }
    requests.push_back({KernelDescriptor::mask_plan(MaskForm::kC2, CausalAlignment::kBottomRight, target), {}});
    requests.push_back({KernelDescriptor::mask_build(MaskForm::kF2, target), {}});
  }
  return requests;
}

/// Every change of `base` has to give a digest that no other one has.
class Changes {
 public:
  explicit Changes(Request base) : base_(std::move(base)) {
    expect_another("nothing", [](Request&) {});
  }
  void expect_another(const std::string& field, const std::function<void(Request&)>& change) {
    Request changed = base_;
    change(changed);
    const auto [found, inserted] = names_.emplace(digest_of_request(changed), field);
    EXPECT_TRUE(inserted) << field << " gives the digest of " << found->second;
  }

 private:
  Request base_;
  std::map<cache::Digest, std::string> names_;
};

void expect_another_for_each_field_of_attention(Changes& changes) {
  changes.expect_another("dtype", [](Request& request) { request.descriptor.dtype = DataType::kFloat16; });
  changes.expect_another("head_dim_qk", [](Request& request) { request.descriptor.head_dim_qk = 72; });
  changes.expect_another("head_dim_v", [](Request& request) { request.descriptor.head_dim_v = 72; });
  for (const MaskForm form :
       {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4}) {
    changes.expect_another(std::string(to_string(form)),
                           [form](Request& request) { request.descriptor.mask_form = form; });
  }
  changes.expect_another("causal_alignment",
                         [](Request& request) { request.descriptor.causal_alignment = CausalAlignment::kTopLeft; });
}

KernelDescriptor attention(Pass pass, Target target) {
  KernelDescriptor descriptor;
  descriptor.pass = pass;
  descriptor.head_dim_qk = descriptor.head_dim_v = 64;
  descriptor.mask_form = MaskForm::kC1;
  descriptor.target = target;
  return descriptor;
}

TEST(KernelDigest, EveryFieldOfAForwardChangesIt) {
  Changes changes({attention(Pass::kForward, {80, false}), {128, 64, 4, 2}});
  expect_another_for_each_field_of_attention(changes);
  changes.expect_another("target", [](Request& request) { request.descriptor.target = {100, false}; });
  changes.expect_another("arch_specific", [](Request& request) { request.descriptor.target = {100, true}; });
  changes.expect_another("tile_q", [](Request& request) { request.config.tile_q = 64; });
  changes.expect_another("tile_k", [](Request& request) { request.config.tile_k = 32; });
  changes.expect_another("warps", [](Request& request) { request.config.warps = 8; });
  changes.expect_another("stages", [](Request& request) { request.config.stages = 3; });
  changes.expect_another("query_in_registers", [](Request& request) { request.config.query_in_registers = true; });
}

TEST(KernelDigest, EveryFieldOfAForwardWithWgmmaChangesIt) {
  Changes changes({attention(Pass::kForward, {90, true}), {.tile_q = 128, .tile_k = 128, .warps = 8, .stages = 2}});
  expect_another_for_each_field_of_attention(changes);
  changes.expect_another("target", [](Request& request) { request.descriptor.target = {90, false}; });
  changes.expect_another("warps and tile_q", [](Request& request) {
    request.config.warps = 4;
    request.config.tile_q = 64;
  });
  changes.expect_another("tile_k", [](Request& request) { request.config.tile_k = 32; });
  changes.expect_another("stages", [](Request& request) { request.config.stages = 3; });
  changes.expect_another("overlap", [](Request& request) { request.config.overlap = true; });
  changes.expect_another("turns", [](Request& request) { request.config.turns = true; });
  changes.expect_another("query_slots", [](Request& request) { request.config.query_slots = 2; });
}

TEST(KernelDigest, EveryFieldOfABackwardChangesIt) {
  Changes changes({attention(Pass::kBackward, {80, false}), {64, 64, 4, 2}});
  expect_another_for_each_field_of_attention(changes);
  changes.expect_another("pass", [](Request& request) { request.descriptor.pass = Pass::kForward; });
  changes.expect_another("deterministic", [](Request& request) { request.descriptor.deterministic = true; });
  changes.expect_another("target", [](Request& request) { request.descriptor.target = {86, false}; });
  changes.expect_another("tile_q", [](Request& request) { request.config.tile_q = 32; });
  changes.expect_another("tile_k", [](Request& request) { request.config.tile_k = 128; });
  changes.expect_another("stages", [](Request& request) { request.config.stages = 3; });
  changes.expect_another("column_warps", [](Request& request) { request.config.column_warps = 2; });
}

TEST(KernelDigest, EveryFieldOfTheKernelsOfMasksChangesIt) {
  std::map<cache::Digest, std::string> names;
  const auto add = [&](const KernelDescriptor& descriptor) {
    EXPECT_TRUE(names.emplace(digest_of_request({descriptor, {}}), to_string(descriptor)).second)
        << to_string(descriptor);
  };
  for (const Target target : {Target{80, false}, Target{90, true}}) {
    for (const MaskForm form : {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4}) {
      add(KernelDescriptor::mask_plan(form, CausalAlignment::kBottomRight, target));
      if (has_diagonal(form)) add(KernelDescriptor::mask_plan(form, CausalAlignment::kTopLeft, target));
    }
    add(KernelDescriptor::mask_build(MaskForm::kC1, target));
    add(KernelDescriptor::mask_build(MaskForm::kF2, target));
  }
}

TEST(KernelDigest, EveryByteThatGoesIntoItChangesIt) {
  std::size_t changes = 0;
  for (const Request& request : kinds()) {
    generator::KernelSource source = generator::generate(request.descriptor, request.config);
    source.text.clear();  // its parts stand for it
    const cache::Digest digest = digest_of(source);
    const auto expect_another = [&](const generator::KernelSource& changed) {
      ++changes;
      return digest_of(changed) != digest;
    };
    for (std::size_t i = 0; i < source.generated.size(); ++i) {
      generator::KernelSource changed = source;
      changed.generated[i] = static_cast<char>(changed.generated[i] ^ 1);
      ASSERT_TRUE(expect_another(changed)) << "byte " << i << " of\n" << source.generated;
    }
    for (std::size_t i = 0; i < source.entry.size(); ++i) {
      generator::KernelSource changed = source;
      changed.entry[i] = static_cast<char>(changed.entry[i] ^ 1);
      ASSERT_TRUE(expect_another(changed)) << "byte " << i << " of " << source.entry;
    }
    for (std::size_t part = 0; part < source.template_digests.size(); ++part) {
      for (std::size_t i = 0; i < source.template_digests[part].size(); ++i) {
        std::string other(source.template_digests[part]);
        other[i] = other[i] == '0' ? '1' : '0';
        generator::KernelSource changed = source;
        changed.template_digests[part] = other;
        ASSERT_TRUE(expect_another(changed)) << "byte " << i << " of template " << part;
      }
      generator::KernelSource shorter = source;
      shorter.template_digests.erase(shorter.template_digests.begin() + static_cast<std::ptrdiff_t>(part));
      ASSERT_TRUE(expect_another(shorter)) << "without template " << part;
      if (part == 0) continue;
      generator::KernelSource swapped = source;
      std::swap(swapped.template_digests[part - 1], swapped.template_digests[part]);
      ASSERT_TRUE(expect_another(swapped)) << "templates " << part - 1 << " and " << part << " exchanged";
    }
    generator::KernelSource other_target = source;
    other_target.descriptor.target.compute_capability += 1;
    ASSERT_TRUE(expect_another(other_target));
  }
  std::printf("%zu changes, each another digest\n", changes);
  std::fflush(stdout);  // before a later test forks
}

TEST(KernelDigest, EquivalentSpellingsOfARequestGiveTheSame) {
  KernelDescriptor descriptor;
  descriptor.pass = *parse_pass("forward");
  descriptor.dtype = *parse_data_type("bf16");
  descriptor.head_dim_qk = descriptor.head_dim_v = 128;
  descriptor.mask_form = *mask_form_of(true, 1);
  descriptor.target = *parse_target("sm_80");
  const TileConfig config = default_tile_config(descriptor);
  const cache::Digest digest = digest_of_request({descriptor, config});
  const Runtime runtime(nullptr, Policy{});

  // Without a configuration, with the default one, and with that in either of its spellings.
  EXPECT_EQ(runtime.explain(descriptor).digest, digest.hex());
  EXPECT_EQ(runtime.explain(descriptor, {{}, config}).digest, digest.hex());
  EXPECT_EQ(runtime.explain(descriptor, {{}, parse_tile_config(to_string(config))}).digest, digest.hex());
  EXPECT_EQ(runtime.explain(descriptor, {{}, parse_tile_config(to_word(config))}).digest, digest.hex());

  // In a manifest: one head dim or both, what is usual named or left out, a list or its only element, any order.
  for (const char* table : {
           "pass = \"forward\"\ndtype = \"bf16\"\nhead_dim = 128\nform = \"c1\"\ntarget = \"sm_80\"\n",
           "target = [\"sm_80\"]\nform = [\"c1\"]\nhead_dim = [[128, 128]]\ndtype = [\"bf16\"]\npass = [\"forward\"]\n",
           "pass = \"forward\"\ndtype = \"bf16\"\nhead_dim = [128]\nform = \"c1\"\nalignment = \"bottom-right\"\n"
           "config = \"default\"\ntarget = \"sm_80\" # a comment\n",
       }) {
    const Manifest manifest = parse_manifest(std::string("version = 1\n[[kernels]]\n") + table, "m.toml");
    ASSERT_EQ(manifest.requests.size(), 1u) << table;
    const KernelRequest& request = manifest.requests.front();
    EXPECT_EQ(runtime.explain(request.descriptor, {{}, request.config}).digest, digest.hex()) << table;
  }
}

TEST(KernelDigest, NothingOfTheMachineOrTheBuildGoesIntoIt) {
  // What two builds in different folders, or two machines, could tell apart.
  std::vector<std::string> traces = {FLASHMASK_SOURCE_FOLDER,
                                     FLASHMASK_BUILD_FOLDER,
                                     std::filesystem::current_path().string(),
                                     "/home/",
                                     "/tmp/",
                                     "/usr/",
                                     version()};
  for (const Request& request : kinds()) {
    const generator::KernelSource source = generator::generate(request.descriptor, request.config);
    for (const std::string& trace : traces) EXPECT_THAT(source.text, Not(HasSubstr(trace))) << source.entry;
  }
  // The only options with a path or a name of a file would be those that look for headers.
  EXPECT_THAT(compile::semantic_options(), Each(Not(HasSubstr("/"))));
}

}  // namespace
}  // namespace flashmask
