#include "flashmask/explanation.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "flashmask/runtime.h"
#include "kept_kernels.h"
#include "recording_device.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RecordingDevice;
using ::testing::StartsWith;
using testing::TemporaryDirectory;

KernelDescriptor small_kernel() {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = 32;
  descriptor.head_dim_v = 32;
  return descriptor;
}

std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class ExplanationTest : public ::testing::Test {
 protected:
  Policy policy() {
    Policy made = Policy::from_environment();
    made.cache_directory = cache_;
    made.no_jit = false;
    made.toolchain.clear();
    made.log_level = LogLevel::kWarning;
    made.log = [this](LogLevel, const std::string& message) { warnings_.push_back(message); };
    return made;
  }
  /// With a compiler that cannot be there: a look needs none.
  Policy policy_without_compiler() {
    Policy made = policy();
    made.nvrtc_path = "/nonexistent/libnvrtc.so.13";
    return made;
  }
  std::filesystem::path only_entry() const {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(cache_))
      if (entry.is_regular_file()) found = entry.path();
    return found;
  }

  TemporaryDirectory directory_;
  std::string cache_ = directory_.file("cache");
  std::vector<std::string> warnings_;
};

TEST_F(ExplanationTest, TellsTheChoiceWithoutADeviceOrACompilerAndLeavesNoTrace) {
  const Runtime runtime(nullptr, policy_without_compiler());
  const Explanation told = runtime.explain(small_kernel());
  EXPECT_EQ(told.descriptor, small_kernel());
  EXPECT_EQ(told.limits, limits_of(small_kernel().target));
  EXPECT_EQ(told.family, "mma.sync");
  EXPECT_EQ(told.config, default_tile_config(small_kernel()));
  EXPECT_EQ(told.config_reason, told.default_tile.reason);
  EXPECT_EQ(told.resources.shared_bytes, estimate_resources(small_kernel(), told.config).shared_bytes);
  EXPECT_THAT(told.entry, StartsWith("flashmask_forward"));
  EXPECT_EQ(told.origin, KernelOrigin::kCompiled);
  EXPECT_TRUE(told.may_compile);
  EXPECT_EQ(told.cache_directory, cache_);
  EXPECT_THAT(told.cache_file, IsEmpty());
  EXPECT_EQ(told.cache_miss, "it holds no entry of this name");
  EXPECT_FALSE(std::filesystem::exists(cache_));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ExplanationTest, TellsTheFamilyThatServesAPassForAnArchSpecificTarget) {
  const Runtime runtime(nullptr, policy_without_compiler());
  KernelDescriptor descriptor = small_kernel();
  descriptor.target = {90, true};
  const Explanation forward = runtime.explain(descriptor);
  EXPECT_EQ(forward.family, "wgmma");
  EXPECT_EQ(forward.family_targets, "sm_90a");
  EXPECT_THAT(forward.family_note, IsEmpty());
  EXPECT_EQ(forward.resources.warps_per_cta, forward.config.warps + 4);
  descriptor.pass = Pass::kBackward;
  EXPECT_EQ(runtime.explain(descriptor).family, "wgmma");
  descriptor.target = {100, true};
  const Explanation backward = runtime.explain(descriptor);
  EXPECT_EQ(backward.family, "mma.sync");
  EXPECT_THAT(backward.family_note, HasSubstr("no backward of its own for sm_100a"));
}

TEST_F(ExplanationTest, NamesTheOriginThatTheNextRequestHas) {
  const auto device = std::make_shared<RecordingDevice>();
  Runtime runtime(device, policy());
  const Explanation before = runtime.explain(small_kernel());
  EXPECT_EQ(before.origin, KernelOrigin::kCompiled);
  const auto kernel = runtime.request(small_kernel());
  EXPECT_EQ(kernel->origin(), before.origin);
  EXPECT_EQ(kernel->digest(), before.digest);
  EXPECT_EQ(kernel->config(), before.config);
  EXPECT_EQ(runtime.explain(small_kernel()).origin, KernelOrigin::kMemory);

  Runtime second(device, policy_without_compiler());
  const Explanation after = second.explain(small_kernel());
  EXPECT_EQ(after.origin, KernelOrigin::kDisk);
  EXPECT_EQ(after.cache_file, only_entry().string());
  EXPECT_THAT(after.toolchain, StartsWith("nvrtc "));
  EXPECT_THAT(after.cache_miss, IsEmpty());
  EXPECT_EQ(second.request(small_kernel())->origin(), KernelOrigin::kDisk);
}

TEST_F(ExplanationTest, CountsNothingAndLoadsNothing) {
  const auto device = std::make_shared<RecordingDevice>();
  Runtime runtime(device, policy());
  runtime.request(small_kernel());
  const RuntimeCounters before = runtime.counters();
  for (int i = 0; i < 3; ++i) runtime.explain(small_kernel());
  KernelDescriptor other = small_kernel();
  other.dtype = DataType::kFloat16;
  runtime.explain(other);
  const RuntimeCounters after = runtime.counters();
  EXPECT_EQ(after.requests, before.requests);
  EXPECT_EQ(after.memory_hits, before.memory_hits);
  EXPECT_EQ(after.disk_hits, before.disk_hits);
  EXPECT_EQ(after.compiles, before.compiles);
  EXPECT_EQ(after.stores, before.stores);
  EXPECT_EQ(after.failed_stores, before.failed_stores);
  EXPECT_EQ(after.generate_seconds, before.generate_seconds);
  EXPECT_EQ(after.lookup_seconds, before.lookup_seconds);
  EXPECT_EQ(device->loads, 1);
}

TEST_F(ExplanationTest, ACorruptEntryIsToldAndLeftAlone) {
  Runtime(nullptr, policy()).compile(small_kernel());
  const std::filesystem::path file = only_entry();
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const std::string before = content_of(file);
  const Explanation told = Runtime(nullptr, policy()).explain(small_kernel());
  EXPECT_EQ(told.origin, KernelOrigin::kCompiled);
  EXPECT_THAT(told.cache_miss, HasSubstr(file.string()));
  EXPECT_EQ(content_of(file), before);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ExplanationTest, AnEntryOfAToolchainThatThePolicyDoesNotWantIsAMiss) {
  Runtime(nullptr, policy()).compile(small_kernel());
  Policy other = policy();
  other.toolchain = "1.2.3";
  const Explanation told = Runtime(nullptr, other).explain(small_kernel());
  EXPECT_EQ(told.origin, KernelOrigin::kCompiled);
  EXPECT_THAT(told.cache_miss, HasSubstr("other toolchains"));
}

TEST_F(ExplanationTest, AMissNamesTheNearestKernelOfTheDirectoryAndOfPacksAndInWhatItDiffers) {
  Policy used = policy_without_compiler();
  EXPECT_EQ(Runtime(nullptr, used).explain(small_kernel()).nearest, std::nullopt);

  KernelDescriptor other = small_kernel();
  other.dtype = DataType::kFloat16;
  other.mask_form = MaskForm::kCausal;
  const testing::KeptKernel far = testing::kept_kernel(other);
  far.publish(used.cache_directory);
  Explanation told = Runtime(nullptr, used).explain(small_kernel());
  ASSERT_TRUE(told.nearest);
  EXPECT_EQ(told.nearest->digest, far.digest.hex());
  EXPECT_THAT(told.nearest->differences,
              ElementsAre(FieldDifference{"dtype", "bf16", "fp16"}, FieldDifference{"mask_form", "none", "causal"}));

  other.dtype = DataType::kBfloat16;
  const testing::KeptKernel near = testing::kept_kernel(other);
  used.packs = {directory_.file("pack")};
  testing::write_pack_of(used.packs[0], {near});
  told = Runtime(nullptr, used).explain(small_kernel());
  EXPECT_EQ(told.nearest->digest, near.digest.hex());
  EXPECT_THAT(told.nearest->differences, ElementsAre(FieldDifference{"mask_form", "none", "causal"}));

  testing::kept_kernel(small_kernel()).publish(used.cache_directory);
  EXPECT_EQ(Runtime(nullptr, used).explain(small_kernel()).nearest, std::nullopt);
  used.toolchain = "12";
  EXPECT_THAT(Runtime(nullptr, used).explain(small_kernel()).nearest->differences,
              ElementsAre(FieldDifference{"toolchain", "12", "nvrtc 13.0.88"}));
}

TEST_F(ExplanationTest, WhereThereIsNoCacheItSaysWhy) {
  Policy off = policy();
  off.cache_directory.clear();
  off.no_jit = true;
  const Explanation told = Runtime(nullptr, off).explain(small_kernel());
  EXPECT_THAT(told.cache_directory, IsEmpty());
  EXPECT_THAT(told.cache_miss, HasSubstr("turned off by the policy"));
  EXPECT_FALSE(told.may_compile);

  off.cache_refusal = "there is no home";
  EXPECT_EQ(Runtime(nullptr, off).explain(small_kernel()).cache_miss, "there is no home");
}

TEST_F(ExplanationTest, AConfigurationAskedForStandsBesideTheDefault) {
  const Runtime runtime(nullptr, policy_without_compiler());
  RequestOptions options;
  options.config = TileConfig{64, 32, 4, 2, false};
  const Explanation told = runtime.explain(small_kernel(), options);
  EXPECT_EQ(told.config, *options.config);
  EXPECT_THAT(told.config_reason,
              AllOf(HasSubstr("asked for"), HasSubstr(to_string(default_tile_config(small_kernel())))));
  EXPECT_EQ(told.default_tile.config, default_tile_config(small_kernel()));
  EXPECT_NE(told.digest, runtime.explain(small_kernel()).digest);
  options.config = default_tile_config(small_kernel());
  EXPECT_EQ(runtime.explain(small_kernel(), options).config_reason, told.default_tile.reason);
}

TEST_F(ExplanationTest, AnIllegalDescriptorIsRefusedWithEveryRule) {
  KernelDescriptor broken = small_kernel();
  broken.head_dim_qk = 100;
  broken.head_dim_v = 300;
  try {
    Runtime(nullptr, policy()).explain(broken);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("100"), HasSubstr("300")));
  }
}

}  // namespace
}  // namespace flashmask
