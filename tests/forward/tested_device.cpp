#include "tests/forward/tested_device.h"

#include <stdlib.h>

#include <filesystem>
#include <map>
#include <stdexcept>

namespace flashmask::forward_tests {
namespace {

/// The directory of the tests' cache.
class CacheDirectory {
 public:
  CacheDirectory() {
    const std::filesystem::path wanted = FLASHMASK_TEST_CACHE_DIR;
    if (std::filesystem::is_directory(wanted.parent_path())) {
      path_ = wanted;
      return;
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "flashmask-tests-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no directory could be made as " + pattern);
    path_ = pattern;
    temporary_ = true;
  }
  ~CacheDirectory() {
    std::error_code ignored;
    if (temporary_) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool temporary_ = false;
};

}  // namespace

DeviceKind tested_device_kind() {
  const char* wanted = getenv("FLASHMASK_TEST_DEVICE");
  const std::string name = wanted && *wanted ? wanted : "emulator";
  if (name == "emulator") return DeviceKind::kEmulator;
  if (name == "cuda") return DeviceKind::kCuda;
  throw std::runtime_error("FLASHMASK_TEST_DEVICE = " + name + ": emulator or cuda is allowed");
}

Policy tested_policy() {
  static const CacheDirectory directory;
  Policy policy = Policy::from_environment();
  policy.cache_directory = directory.path().string();
  policy.cache_refusal.clear();
  return policy;
}

std::unique_ptr<Runtime> emulated_runtime(const Target& target, std::uint64_t seed) {
  return std::make_unique<Runtime>(open_emulated_device({.target = target, .seed = seed}), tested_policy());
}

Runtime& tested_runtime(std::uint64_t seed) {
  tested_policy();  // its directory is made before, and removed after, the runtimes that use it
  static std::map<std::uint64_t, std::unique_ptr<Runtime>> runtimes;
  if (tested_device_kind() == DeviceKind::kCuda) seed = 0;
  std::unique_ptr<Runtime>& runtime = runtimes[seed];
  if (!runtime) {
    runtime = tested_device_kind() == DeviceKind::kCuda ? std::make_unique<Runtime>(open_cuda_device(), tested_policy())
                                                        : emulated_runtime(Target{}, seed);
  }
  return *runtime;
}

}  // namespace flashmask::forward_tests
