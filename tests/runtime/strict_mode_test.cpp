// With every kernel in a pack NVRTC is never opened. A program of its own: the kernels are compiled by a child process,
// so that the library was never loaded in this one.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "flashmask/kernel_cache.h"
#include "flashmask/runtime.h"
#include "recording_device.h"
#include "temporary_directory.h"

namespace flashmask {
namespace {

std::vector<KernelDescriptor> every_pass() {
  KernelDescriptor forward;
  forward.head_dim_qk = forward.head_dim_v = 32;
  forward.mask_form = MaskForm::kC1;
  KernelDescriptor backward = forward;
  backward.pass = Pass::kBackward;
  KernelDescriptor hopper = forward;
  hopper.target = {90, true};
  return {forward, backward, hopper,
          KernelDescriptor::mask_plan(MaskForm::kC1, CausalAlignment::kBottomRight, forward.target),
          KernelDescriptor::mask_build(MaskForm::kC1, forward.target)};
}

/// Whether a library of this name is mapped into this process. NVRTC is never unloaded, so this tells the past, too.
bool is_loaded(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find(name) != std::string::npos) return true;
  return false;
}

/// Runs in a child process and tells how it ended.
template <typename Work>
int in_child(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    int status = 1;
    try {
      status = work();
    } catch (const std::exception& error) {
      fprintf(stderr, "%s\n", error.what());
    }
    _exit(status);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(StrictMode, WithEveryKernelInAPackTheCompilerIsNeverOpened) {
  const testing::TemporaryDirectory directory;
  const std::string pack = directory.file("kernels.pack");
  Policy compiling = Policy::from_environment();
  compiling.cache_directory = directory.file("cache");
  compiling.no_jit = false;
  compiling.toolchain.clear();
  ASSERT_EQ(in_child([&] {
              Runtime runtime(nullptr, compiling);
              for (const KernelDescriptor& descriptor : every_pass()) runtime.compile(descriptor);
              KernelCache(compiling).export_pack(pack);
              return is_loaded("libnvrtc") ? 0 : 2;  // or this test would prove nothing
            }),
            0);

  Policy strict = compiling;  // which would find the compiler
  strict.cache_directory.clear();
  strict.packs = {pack};
  strict.no_jit = true;
  const auto device = std::make_shared<testing::RecordingDevice>();
  Runtime runtime(device, strict);
  std::size_t kernels = 0;
  for (const KernelDescriptor& descriptor : every_pass()) {
    EXPECT_EQ(runtime.explain(descriptor).origin, KernelOrigin::kPack) << to_string(descriptor);
    if (is_attention(descriptor.pass))
      EXPECT_EQ(runtime.request(descriptor)->origin(), KernelOrigin::kPack) << to_string(descriptor);
    else
      EXPECT_EQ(runtime.compile(descriptor).origin, KernelOrigin::kPack) << to_string(descriptor);
    ++kernels;
  }
  EXPECT_EQ(runtime.counters().pack_hits, kernels);
  KernelDescriptor missing = every_pass().front();
  missing.dtype = DataType::kFloat16;
  try {
    runtime.request(missing);
    ADD_FAILURE() << "a kernel that nobody compiled was served";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotCached);
  }
  EXPECT_FALSE(is_loaded("libnvrtc"));
}

}  // namespace
}  // namespace flashmask
