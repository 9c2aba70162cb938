// Where kernels are looked for: packs, embedded packs, read-only directories, the user's directory. None is compiled:
// the policies name a compiler that is not there.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>

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
using testing::kept_kernel;
using testing::KeptKernel;
using ::testing::Not;
using testing::RecordingDevice;
using testing::small_kernel;
using testing::write_pack_of;

class KernelTiersTest : public ::testing::Test {
 protected:
  Policy policy() {
    Policy made;
    made.cache_directory = cache_;
    made.nvrtc_path = "/nonexistent/libnvrtc.so.13";
    made.log = [this](LogLevel, const std::string& message) { warnings_.push_back(message); };
    return made;
  }
  /// Which of the kernels with different code is loaded.
  std::vector<std::byte> cubin_under(const Policy& used) {
    Runtime(device_, used).request(small_kernel());
    return device_->loaded_cubin;
  }
  static KernelOrigin origin_under(const Policy& used) { return Runtime(nullptr, used).compile(small_kernel()).origin; }

  testing::TemporaryDirectory directory_;
  std::string cache_ = directory_.file("cache");
  std::string pack_ = directory_.file("kernels.pack");
  std::shared_ptr<RecordingDevice> device_ = std::make_shared<RecordingDevice>();
  std::vector<std::string> warnings_;
};

TEST_F(KernelTiersTest, AKernelOfAPackNeedsNoCompilerAndNoDirectory) {
  write_pack_of(pack_, {kept_kernel(small_kernel())});
  Policy packed = policy();
  packed.cache_directory.clear();
  packed.packs = {pack_};
  packed.no_jit = true;
  Runtime runtime(device_, packed);
  const auto kernel = runtime.request(small_kernel());
  EXPECT_EQ(kernel->origin(), KernelOrigin::kPack);
  EXPECT_EQ(kernel->resources().registers, 100);
  EXPECT_EQ(device_->loaded_cubin, kept_kernel(small_kernel()).cubin);
  EXPECT_EQ(runtime.counters().pack_hits, 1u);
  EXPECT_EQ(runtime.counters().disk_hits, 0u);
  EXPECT_EQ(runtime.request(small_kernel()), kernel);
  EXPECT_EQ(runtime.counters().memory_hits, 1u);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(KernelTiersTest, APackIsAskedBeforeTheOnesBehindItThenDirectoriesThenTheUsersOwn) {
  const auto with_code = [](const std::string& code) { return kept_kernel(small_kernel(), "nvrtc 13.0.88", code); };
  const KeptKernel first = with_code("first"), second = with_code("second"), embedded = with_code("embedded"),
                   shared = with_code("shared"), own = with_code("own");
  write_pack_of(directory_.file("first.pack"), {first});
  write_pack_of(directory_.file("second.pack"), {second});
  write_pack_of(directory_.file("embedded.pack"), {embedded});
  const std::string bytes = testing::content_of(directory_.file("embedded.pack"));
  shared.publish(directory_.file("shared"));
  own.publish(cache_);

  Policy used = policy();
  EXPECT_EQ(cubin_under(used), own.cubin);
  used.read_only_directories = {directory_.file("shared")};
  EXPECT_EQ(cubin_under(used), shared.cubin);
  EXPECT_EQ(origin_under(used), KernelOrigin::kDisk);
  used.embedded_packs = {std::as_bytes(std::span(bytes))};
  EXPECT_EQ(cubin_under(used), embedded.cubin);
  EXPECT_EQ(origin_under(used), KernelOrigin::kPack);
  used.packs = {directory_.file("second.pack")};
  EXPECT_EQ(cubin_under(used), second.cubin);
  used.packs = {directory_.file("first.pack"), directory_.file("second.pack")};
  EXPECT_EQ(cubin_under(used), first.cubin);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(KernelTiersTest, WhatOnePackLacksTheNextOneServes) {
  write_pack_of(directory_.file("first.pack"), {kept_kernel(small_kernel(DataType::kFloat16))});
  write_pack_of(directory_.file("second.pack"), {kept_kernel(small_kernel())});
  Policy used = policy();
  used.packs = {directory_.file("first.pack"), directory_.file("second.pack")};
  EXPECT_EQ(origin_under(used), KernelOrigin::kPack);
}

TEST_F(KernelTiersTest, TheToolchainPolicyHoldsInPacksToo) {
  write_pack_of(pack_, {kept_kernel(small_kernel(), "nvrtc 12.9.86", "old"),
                        kept_kernel(small_kernel(), "nvrtc 13.0.88", "new")});
  Policy used = policy();
  used.packs = {pack_};
  EXPECT_EQ(Runtime(nullptr, used).compile(small_kernel()).toolchain, "nvrtc 13.0.88");
  used.toolchain = "12";
  EXPECT_EQ(Runtime(nullptr, used).compile(small_kernel()).toolchain, "nvrtc 12.9.86");
  used.toolchain = "11";
  used.no_jit = true;
  EXPECT_THROW(Runtime(nullptr, used).compile(small_kernel()), Error);
}

TEST_F(KernelTiersTest, AReadOnlyDirectoryIsReadAndNeverWritten) {
  const std::string shared = directory_.file("shared");
  const KeptKernel good = kept_kernel(small_kernel()), other = kept_kernel(small_kernel(DataType::kFloat16));
  good.publish(shared);
  other.publish(shared);
  const std::string broken = shared + "/" + cache::Store::entry_path(other.digest, other.tag());
  std::filesystem::resize_file(broken, 100);
  Policy used = policy();
  used.read_only_directories = {shared};
  used.no_jit = true;
  Runtime runtime(nullptr, used);
  EXPECT_EQ(runtime.compile(small_kernel()).origin, KernelOrigin::kDisk);
  EXPECT_THROW(runtime.compile(small_kernel(DataType::kFloat16)), Error);
  EXPECT_TRUE(std::filesystem::exists(broken));
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr(shared), HasSubstr("truncated"))));
}

TEST_F(KernelTiersTest, APackThatCannotBeOpenedIsOneWarningThatNamesTheMend) {
  write_pack_of(pack_, {kept_kernel(small_kernel())});
  ASSERT_EQ(chmod(pack_.c_str(), 0666), 0);
  kept_kernel(small_kernel()).publish(cache_);
  Policy used = policy();
  used.packs = {pack_, directory_.file("absent.pack"), "relative.pack"};
  Runtime runtime(nullptr, used);
  EXPECT_EQ(runtime.compile(small_kernel()).origin, KernelOrigin::kDisk);
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr(pack_), HasSubstr("chmod go-w '" + pack_ + "'")),
                                     AllOf(HasSubstr("absent.pack"), HasSubstr("No such file")),
                                     AllOf(HasSubstr("relative.pack"), HasSubstr("not absolute"))));
}

TEST_F(KernelTiersTest, UnderNoJitAMissNamesThePlacesAndThePackThatCouldNotBeOpened) {
  write_pack_of(pack_, {kept_kernel(small_kernel(DataType::kFloat16))});
  Policy used = policy();
  used.packs = {pack_, directory_.file("absent.pack")};
  used.no_jit = true;
  try {
    Runtime(nullptr, used).compile(small_kernel());
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotCached);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("the cache " + cache_), HasSubstr("the pack " + pack_),
                                    HasSubstr("absent.pack: No such file")));
    EXPECT_THAT(error.hint(), HasSubstr("flashmask compile"));
  }
}

TEST_F(KernelTiersTest, ADamagedEntryOfAPackIsOneWarningAndTheNextTierServes) {
  write_pack_of(pack_, {kept_kernel(small_kernel()), kept_kernel(small_kernel(DataType::kFloat16))});
  std::string bytes = testing::content_of(pack_);
  for (std::size_t place = bytes.find("code"); place != std::string::npos; place = bytes.find("code", place + 4))
    bytes[place] = 'C';
  Policy used = policy();
  used.embedded_packs = {std::as_bytes(std::span(bytes))};
  kept_kernel(small_kernel()).publish(cache_);
  kept_kernel(small_kernel(DataType::kFloat16)).publish(cache_);
  Runtime runtime(nullptr, used);
  EXPECT_EQ(runtime.compile(small_kernel()).origin, KernelOrigin::kDisk);
  EXPECT_EQ(runtime.compile(small_kernel(DataType::kFloat16)).origin, KernelOrigin::kDisk);
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("embedded pack 1"), HasSubstr("checksum"))));
}

TEST_F(KernelTiersTest, WithoutPtxAKernelServesAGpuAndNotTheEmulator) {
  write_pack_of(pack_, {kept_kernel(small_kernel())}, true);
  Policy used = policy();
  used.packs = {pack_};
  used.no_jit = true;
  const auto gpu = std::make_shared<RecordingDevice>(DeviceKind::kCuda, Target{80, false});
  EXPECT_EQ(Runtime(gpu, used).request(small_kernel())->origin(), KernelOrigin::kPack);
  EXPECT_EQ(Runtime(nullptr, used).compile(small_kernel()).ptx, "");
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_THROW(Runtime(device_, used).request(small_kernel()), Error);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("it has no PTX")));
}

TEST_F(KernelTiersTest, ExplainNamesThePackOrTheDirectoryThatServes) {
  write_pack_of(pack_, {kept_kernel(small_kernel())});
  Policy used = policy();
  used.packs = {pack_};
  const Explanation packed = Runtime(nullptr, used).explain(small_kernel());
  EXPECT_EQ(packed.origin, KernelOrigin::kPack);
  EXPECT_EQ(packed.cache_pack, pack_);
  EXPECT_EQ(packed.cache_file, "");
  EXPECT_EQ(packed.cache_miss, "");
  EXPECT_EQ(packed.toolchain, "nvrtc 13.0.88");

  const std::string shared = directory_.file("shared");
  const KeptKernel other = kept_kernel(small_kernel(DataType::kFloat16));
  other.publish(shared);
  used.read_only_directories = {shared};
  const Explanation told = Runtime(nullptr, used).explain(small_kernel(DataType::kFloat16));
  EXPECT_EQ(told.origin, KernelOrigin::kDisk);
  EXPECT_EQ(told.cache_pack, "");
  EXPECT_EQ(told.cache_file, shared + "/" + cache::Store::entry_path(other.digest, other.tag()));

  used.packs.push_back(directory_.file("absent.pack"));
  KernelDescriptor nowhere = small_kernel();
  nowhere.head_dim_v = 64;
  EXPECT_THAT(Runtime(nullptr, used).explain(nowhere).cache_miss, HasSubstr("absent.pack: No such file"));
}

TEST_F(KernelTiersTest, ExplainNamesTheFieldsInWhichTheNearestKernelOfAllPlacesDiffers) {
  KernelDescriptor wider = small_kernel();
  wider.head_dim_qk = wider.head_dim_v = 64;
  KernelDescriptor far = wider;
  far.dtype = DataType::kFloat16;
  write_pack_of(pack_, {kept_kernel(wider)});
  kept_kernel(far).publish(cache_);
  Policy used = policy();
  used.packs = {pack_};
  const Explanation told = Runtime(nullptr, used).explain(small_kernel());
  EXPECT_EQ(told.origin, KernelOrigin::kCompiled);
  ASSERT_TRUE(told.nearest);
  EXPECT_EQ(told.nearest->digest, kept_kernel(wider).digest.hex());
  EXPECT_EQ(told.nearest->differences,
            (std::vector<FieldDifference>{{"head_dim_qk", "32", "64"}, {"head_dim_v", "32", "64"}}));
  EXPECT_FALSE(Runtime(nullptr, used).explain(wider).nearest);
  used.toolchain = "12.0.0";
  const Explanation of_other = Runtime(nullptr, used).explain(wider);
  ASSERT_TRUE(of_other.nearest);
  EXPECT_EQ(of_other.nearest->differences, (std::vector<FieldDifference>{{"toolchain", "12.0.0", "nvrtc 13.0.88"}}));
  EXPECT_FALSE(
      Runtime(nullptr, policy()).explain(small_kernel(DataType::kBfloat16, {90, false})).nearest->differences.empty());
}

TEST_F(KernelTiersTest, DoctorTellsEachPackWithItsEntriesOrWhatIsWrong) {
  write_pack_of(pack_, {kept_kernel(small_kernel()), kept_kernel(small_kernel(DataType::kFloat16))});
  const std::string bytes = testing::content_of(pack_), shared = directory_.file("shared");
  kept_kernel(small_kernel()).publish(shared);
  Policy used = policy();
  used.packs = {pack_, directory_.file("absent.pack")};
  used.embedded_packs = {std::as_bytes(std::span(bytes)), {}};
  used.read_only_directories = {shared, directory_.file("absent")};
  std::vector<Finding> packs, directories;
  for (const Finding& finding : diagnose(used)) {
    if (finding.subject == "pack") packs.push_back(finding);
    if (finding.subject == "read-only cache") directories.push_back(finding);
  }
  ASSERT_EQ(packs.size(), 4u);
  EXPECT_EQ(packs[0].status, Finding::Status::kOk);
  EXPECT_THAT(packs[0].detail, AllOf(HasSubstr(pack_), HasSubstr("2 entries")));
  EXPECT_EQ(packs[1].status, Finding::Status::kProblem);
  EXPECT_THAT(packs[1].detail, HasSubstr("No such file"));
  EXPECT_THAT(packs[1].mend, HasSubstr("FLASHMASK_PACKS"));
  EXPECT_THAT(packs[2].detail, AllOf(HasSubstr("embedded pack 1"), HasSubstr("2 entries")));
  EXPECT_THAT(packs[3].detail, AllOf(HasSubstr("embedded pack 2"), HasSubstr("truncated")));
  ASSERT_EQ(directories.size(), 2u);
  EXPECT_THAT(directories[0].detail, AllOf(HasSubstr(shared), HasSubstr("1 entries")));
  EXPECT_THAT(directories[1].detail, HasSubstr("is not there"));
}

}  // namespace
}  // namespace flashmask
