#include "c_interface.h"

#include <gmock/gmock.h>

#include <thread>

#include "flashmask/flashmask.h"
#include "flashmask/manifest.h"
#include "kept_kernels.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;

TEST(CInterface, TellsItsVersionAndTheNamesOfStatuses) {
  EXPECT_EQ(c_versions_and_names(), 0);
}

TEST(CInterface, BadInputIsAStatusAndAText) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_bad_input_is_a_status_and_a_text(directory.path().c_str()), 0);
}

TEST(CInterface, RunsAForwardOnTheEmulator) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_forward_on_the_emulator(directory.path().c_str(), "sm_80", 0), 0);
}

TEST(CInterface, RunsAForwardThatNeedsAWorkspaceOnTheEmulator) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_forward_on_the_emulator(directory.path().c_str(), "sm_90a", 1), 0);
}

TEST(CInterface, ArgumentsOfABackwardAreChecked) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_backward_arguments_are_checked(directory.path().c_str()), 0);
}

TEST(CInterface, RunsABackwardOnTheEmulator) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_backward_on_the_emulator(directory.path().c_str()), 0);
}

TEST(CInterface, WritesMasksAndTheirPlanOnTheEmulator) {
  const TemporaryDirectory directory;
  EXPECT_EQ(c_masks_written_on_the_emulator(directory.path().c_str()), 0);
}

TEST(CInterface, PreparedLaunchesRunOnTheEmulatorAfterTheirKernelsAndTheRuntimeAreReleased) {
  const TemporaryDirectory directory;
  for (const char* target : {"sm_80", "sm_90a"})
    EXPECT_EQ(c_prepared_launches_on_the_emulator(directory.path().c_str(), target), 0) << target;
}

TEST(CInterface, TheLastErrorBelongsToItsThread) {
  EXPECT_EQ(fm_device_alloc(nullptr, 1, nullptr), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("address is null"));
  std::thread([] { EXPECT_STREQ(fm_last_error(), ""); }).join();
}

TEST(CInterface, RequestsAreRecordedAndMayNameTheirStream) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("kernels.toml");
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  policy.no_jit = 1;
  policy.record_path = "kernels.toml";
  fm_device* device = nullptr;
  fm_runtime* runtime = nullptr;
  ASSERT_EQ(fm_device_open_emulator("sm_80", 0, &device), FM_OK);
  EXPECT_EQ(fm_runtime_create(device, &policy, &runtime), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("record_path = \"kernels.toml\": an absolute path is needed"));
  policy.record_path = path.c_str();
  ASSERT_EQ(fm_runtime_create(device, &policy, &runtime), FM_OK);
  fm_descriptor descriptor;
  fm_init_descriptor(&descriptor, sizeof descriptor);
  fm_kernel* kernel = nullptr;
  int stream = 0;  // its address is one; an emulator captures none
  EXPECT_EQ(fm_runtime_request_on_stream(runtime, &descriptor, nullptr, &stream, &kernel), FM_NOT_CACHED);
  const Manifest manifest = read_manifest(path);
  ASSERT_EQ(manifest.requests.size(), 1u);
  EXPECT_EQ(to_string(manifest.requests[0].descriptor), "forward bf16 d128 none sm_80");
  EXPECT_STREQ(fm_status_name(FM_CAPTURING), "capturing");
  fm_runtime_release(runtime);
  fm_device_release(device);
}

TEST(CInterface, AnOlderCallersDescriptorAsksForNoDeterminism) {
  const TemporaryDirectory directory;
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = directory.path().c_str();
  policy.no_jit = 1;
  fm_runtime* runtime = nullptr;
  ASSERT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_OK);
  fm_descriptor descriptor;
  fm_init_descriptor(&descriptor, sizeof descriptor);
  EXPECT_EQ(descriptor.deterministic, 0);
  descriptor.target = "sm_80";
  descriptor.deterministic = 1;
  EXPECT_EQ(fm_runtime_compile(runtime, &descriptor, nullptr, nullptr), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("deterministic = true: only the backward has a choice"));
  // What lies where the field would be is not looked at.
  descriptor.struct_size = offsetof(fm_descriptor, deterministic);
  EXPECT_EQ(fm_runtime_compile(runtime, &descriptor, nullptr, nullptr), FM_NOT_CACHED);
  fm_runtime_release(runtime);
}

TEST(CInterface, ATileConfigurationIsTakenAsFarAsTheCallersStructGoes) {
  const TemporaryDirectory directory;
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = directory.path().c_str();
  policy.no_jit = 1;
  fm_runtime* runtime = nullptr;
  ASSERT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_OK);
  fm_descriptor descriptor;
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.target = "sm_90a";
  const auto expect_asked_for = [&](const fm_tile_config& config, const std::string& words) {
    EXPECT_EQ(fm_runtime_compile(runtime, &descriptor, &config, nullptr), FM_NOT_CACHED) << fm_last_error();
    const std::string hint = fm_last_hint();
    EXPECT_TRUE(hint.ends_with(" --config " + words)) << hint;
  };
  // tile_q, tile_k, warps, stages, query_in_registers, column_warps, overlap, turns, query_slots
  fm_tile_config config{sizeof config, 128, 96, 8, 2, 0, 0, 1, 1, 2};
  expect_asked_for(config, "128x96,w8,s2,overlap,turns,q2");
  config.overlap = config.turns = config.query_slots = 0;
  expect_asked_for(config, "128x96,w8,s2");
  // What lies where an older caller's struct ends is not looked at.
  config.overlap = config.turns = config.query_slots = 7;
  config.struct_size = offsetof(fm_tile_config, overlap);
  expect_asked_for(config, "128x96,w8,s2");
  config.struct_size = offsetof(fm_tile_config, query_slots);
  expect_asked_for(config, "128x96,w8,s2,overlap,turns");
  config.struct_size = sizeof config;
  EXPECT_EQ(fm_runtime_compile(runtime, &descriptor, &config, nullptr), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("query_slots = 7"));
  fm_runtime_release(runtime);
}

TEST(CInterface, AnEmbeddedPackAndOneOfAFileServeAndAreToldApart) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("kernels.pack");
  testing::write_pack_of(path, {testing::kept_kernel(testing::small_kernel())});
  const std::string bytes = testing::content_of(path);
  fm_descriptor descriptor;
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.head_dim_qk = descriptor.head_dim_v = 32;
  descriptor.target = "sm_80";
  const fm_bytes embedded[] = {{bytes.data(), bytes.size()}};
  for (const bool is_embedded : {true, false}) {
    fm_policy policy;
    fm_init_policy(&policy, sizeof policy);
    policy.no_jit = 1;
    if (is_embedded) {
      policy.embedded_packs = embedded;
      policy.num_embedded_packs = 1;
    } else {
      policy.packs = path.c_str();
    }
    fm_runtime* runtime = nullptr;
    ASSERT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_OK);
    fm_origin origin = FM_COMPILED;
    EXPECT_EQ(fm_runtime_compile(runtime, &descriptor, nullptr, &origin), FM_OK) << fm_last_error();
    EXPECT_EQ(origin, FM_FROM_PACK);
    fm_counters counters{};
    counters.struct_size = sizeof counters;
    EXPECT_EQ(fm_runtime_get_counters(runtime, &counters), FM_OK);
    EXPECT_EQ(counters.pack_hits, 1u);
    fm_runtime_release(runtime);
  }
}

TEST(CInterface, PacksThatAreNotWhatTheySayAreRefused) {
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  fm_runtime* runtime = nullptr;
  policy.packs = "/a.pack:b.pack";
  EXPECT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("packs = \"/a.pack:b.pack\": absolute paths"));
  policy.packs = nullptr;
  policy.read_only_directories = "shared";
  EXPECT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_INVALID_ARGUMENT);
  policy.read_only_directories = nullptr;
  policy.num_embedded_packs = 1;
  EXPECT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_INVALID_ARGUMENT);
  EXPECT_THAT(fm_last_error(), HasSubstr("embedded_packs is null"));
  EXPECT_EQ(runtime, nullptr);
}

TEST(CInterface, TheWaitForAnotherProcessIsAMinuteUnlessSetAndAnHourAtMost) {
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  EXPECT_EQ(policy.compile_wait_ms, 60'000);
  for (const std::int64_t fine : {-1, 0, 1, 3'600'000}) {
    policy.compile_wait_ms = fine;
    fm_runtime* runtime = nullptr;
    EXPECT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_OK) << fine;
    fm_runtime_release(runtime);
  }
  for (const std::int64_t wrong : {std::int64_t{-2}, std::int64_t{3'600'001}, INT64_MAX, INT64_MIN}) {
    policy.compile_wait_ms = wrong;
    fm_runtime* runtime = nullptr;
    EXPECT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_INVALID_ARGUMENT);
    EXPECT_THAT(fm_last_error(), HasSubstr("compile_wait_ms = " + std::to_string(wrong) + ": 0 to 3600000"));
  }
}

TEST(CInterface, AnOlderCallersShorterStructIsFilledOnlyAsFarAsItGoes) {
  struct {
    fm_counters counters;
    std::uint64_t beyond = 42;
  } caller;
  fm_policy policy;
  fm_init_policy(&policy, sizeof policy);
  fm_runtime* runtime = nullptr;
  ASSERT_EQ(fm_runtime_create(nullptr, &policy, &runtime), FM_OK);
  caller.counters.struct_size = offsetof(fm_counters, disk_hits);
  caller.counters.disk_hits = 7;
  EXPECT_EQ(fm_runtime_get_counters(runtime, &caller.counters), FM_OK);
  EXPECT_EQ(caller.counters.struct_size, offsetof(fm_counters, disk_hits));
  EXPECT_EQ(caller.counters.requests, 0u);
  EXPECT_EQ(caller.counters.disk_hits, 7u);
  EXPECT_EQ(caller.beyond, 42u);
  fm_runtime_release(runtime);
}

}  // namespace
}  // namespace flashmask
