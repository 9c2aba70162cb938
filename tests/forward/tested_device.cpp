#include "tests/forward/tested_device.h"

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <utility>

namespace flashmask::forward_tests {
namespace {

constexpr Target kHopper{90, true};

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

/// The runtime on an emulated device of this target with the order of this number, or on the GPU.
Runtime& runtime_of(const std::optional<Target>& target, std::uint64_t order) {
  tested_policy();  // its directory is made before, and removed after, the runtimes that use it
  constexpr std::array kSchedules = {"random", "in-order", "reversed", "starved", "late-landings"};
  if (!target) order = 0;
  static std::map<std::pair<std::string, std::uint64_t>, std::unique_ptr<Runtime>> runtimes;
  std::unique_ptr<Runtime>& runtime = runtimes[{target ? to_string(*target) : "", order}];
  if (!runtime)
    runtime = std::make_unique<Runtime>(
        target ? open_emulated_device({.target = *target, .seed = order, .schedule = kSchedules[order % 5]})
               : open_cuda_device(),
        tested_policy());
  return *runtime;
}

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

Runtime& tested_runtime(std::uint64_t order) {
  const bool on_gpu = tested_device_kind() == DeviceKind::kCuda;
  return runtime_of(on_gpu ? std::nullopt : std::optional(Target{}), order);
}

void PrintTo(const Family& family, std::ostream* stream) {
  *stream << family.name;
}

std::vector<Family> emulated_families() {
  return {{"mma_sync", Target{}}, {"wgmma", kHopper}};
}

std::vector<Family> tested_families() {
  if (tested_device_kind() == DeviceKind::kEmulator) return emulated_families();
  const Target target = tested_runtime().device()->properties().target;
  if (target == kHopper) return {{"mma_sync", Target{90, false}}, {"wgmma", kHopper}};
  return {{"mma_sync", target}};
}

Runtime& tested_runtime(const Family& family, std::uint64_t order) {
  if (tested_device_kind() == DeviceKind::kCuda) return tested_runtime(order);
  return runtime_of(family.target, order);
}

}  // namespace flashmask::forward_tests
