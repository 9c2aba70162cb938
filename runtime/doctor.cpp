#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>

#include "cache/directory.h"
#include "cache/store.h"
#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "runtime/compile/compiler.h"
#include "runtime/device/cuda_device.h"
#include "runtime/environment.h"
#include "runtime/store/named_packs.h"
#include "runtime/tune/shipped.h"

namespace flashmask {
namespace {

using Status = Finding::Status;

// The smallest proof that the compiler works as a whole: its builtins, its optimiser and ptxas.
constexpr const char* kProbeEntry = "flashmask_probe";
constexpr const char* kProbeText = R"(extern "C" __global__ void flashmask_probe(int* out) { *out = 1; })";

Finding look_for_nvrtc(const Policy& policy) try {
  compile::Compiler compiler(policy);
  const auto nvrtc = compiler.nvrtc();
  const std::string place = fmt::format("{} (found by: {})", nvrtc->path(), nvrtc->origin());
  try {
    const compile::Compilation probe = compiler.compile(kProbeText, kProbeEntry, Target{});
    return {"nvrtc", Status::kOk, fmt::format("{}, {}, compiles for {}", probe.toolchain, place, to_string(Target{})),
            ""};
  } catch (const Error& error) {
    return {"nvrtc", Status::kProblem, fmt::format("{}: {}", place, error.what()),
            "Reinstall it: tools/setup.sh, or name a whole one with FLASHMASK_NVRTC."};
  }
} catch (const Error& error) {
  return {"nvrtc", Status::kMissing, error.what(), error.hint()};
}

void look_for_gpus(std::vector<Finding>& findings) {
  const CudaDriver* driver = nullptr;
  try {
    driver = &CudaDriver::get();
  } catch (const Error& error) {
    findings.push_back({"driver", Status::kMissing, error.what(), error.hint()});
    return;
  }
  const bool loads = driver->library_load_data != nullptr;
  findings.push_back(
      {"driver", loads ? Status::kOk : Status::kProblem,
       fmt::format("CUDA {}, {}{}", driver->version_text(), driver->path(), loads ? "" : ": too old to load kernels"),
       loads ? "" : "Update NVIDIA's driver to one of CUDA 12.0 or newer."});
  for (int ordinal = 0; ordinal < driver->device_count(); ++ordinal) try {
      const DeviceProperties gpu = open_cuda_device(*driver, ordinal)->properties();
      const bool known = parse_target(to_string(gpu.target)).has_value();
      findings.push_back({"gpu", known ? Status::kOk : Status::kProblem,
                          fmt::format("{}: {}, {}, {} SMs, {:.1f} GiB", ordinal, gpu.name, to_string(gpu.target),
                                      gpu.multiprocessors, static_cast<double>(gpu.memory_bytes) / (1 << 30)),
                          known ? "" : fmt::format("No kernels are generated for it; known are {}.", known_targets())});
    } catch (const Error& error) {
      findings.push_back({"gpu", Status::kProblem, fmt::format("{}: {}", ordinal, error.what()), error.hint()});
    }
}

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

/// How many entries there are, how large they are, and what is wrong with some of them.
std::string content_of(cache::Store& store, std::uint64_t limit) {
  const cache::StoreContents contents = store.list();
  const auto broken = std::count_if(contents.files.begin(), contents.files.end(),
                                    [](const cache::StoredFile& file) { return file.defect.has_value(); });
  std::string text = fmt::format("{} entries, {:.1f} MiB", contents.files.size(), mebibytes(contents.bytes()));
  if (limit != kUnlimitedCacheBytes) text += fmt::format(" of {:.0f}", mebibytes(limit));
  if (broken) text += fmt::format(", {} of them unusable", broken);
  return text;
}

cache::StoreOptions read_only(const std::string& directory) {
  return {.directory = directory, .access = cache::StoreOptions::Access::kReadOnly};
}

Finding look_at_cache(const Policy& policy) {
  const std::string subject = "cache directory";
  const std::string& path = policy.cache_directory;
  if (path.empty() && policy.cache_refusal.empty()) return {subject, Status::kOk, "turned off", ""};
  if (path.empty())
    return {subject, Status::kProblem, policy.cache_refusal, "Name one: FLASHMASK_CACHE_DIR=/absolute/directory"};
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode) && stat(path.c_str(), &status) != 0)
    return {subject, Status::kProblem, fmt::format("{} is a link to nowhere", path), fmt::format("rm '{}'", path)};
  if (stat(path.c_str(), &status) != 0) {
    const int reason = errno;
    if (reason != ENOENT)
      return {subject, Status::kProblem, fmt::format("{}: {}", path, std::strerror(reason)),
              "Name another one with FLASHMASK_CACHE_DIR, or mend the permissions of the folders above it."};
    std::filesystem::path above = std::filesystem::path(path).parent_path();
    std::error_code ignored;
    while (above != above.parent_path() && !std::filesystem::exists(above, ignored)) above = above.parent_path();
    if (access(above.c_str(), W_OK | X_OK) != 0)
      return {subject, Status::kProblem,
              fmt::format("{} is not there and cannot be created: {}: {}", path, above.string(), std::strerror(errno)),
              "Name another one with FLASHMASK_CACHE_DIR."};
    return {subject, Status::kOk, fmt::format("{} (created with the first kernel)", path), ""};
  }
  const std::string owner = fmt::format("owner {}, mode {:04o}", status.st_uid, status.st_mode & 07777);
  if (!S_ISDIR(status.st_mode))
    return {subject, Status::kProblem, fmt::format("{} is not a directory", path),
            "Name another one with FLASHMASK_CACHE_DIR."};
  if (auto refusal = cache::refuse_directory(path, status, geteuid()))
    return {subject, Status::kProblem, fmt::format("{} ({}): {}", path, owner, *refusal),
            fmt::format("chmod 700 '{}', or name another one with FLASHMASK_CACHE_DIR.", path)};
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0)
    return {subject, Status::kProblem, fmt::format("{} ({}) cannot be written: {}", path, owner, std::strerror(errno)),
            "Kernels are compiled in every process. Name another one with FLASHMASK_CACHE_DIR."};
  cache::Store store(read_only(path));
  return {subject, Status::kOk, fmt::format("{} ({}): {}", path, owner, content_of(store, policy.cache_bytes)), ""};
}

void look_at_packs(const Policy& policy, std::vector<Finding>& findings) {
  for (const NamedPack& named : open_packs(policy)) {
    if (named.pack)
      findings.push_back({"pack", Status::kOk,
                          fmt::format("{}: {} entries, {:.1f} MiB", named.name, named.pack->records().size(),
                                      mebibytes(named.pack->bytes())),
                          ""});
    else
      findings.push_back({"pack", Status::kProblem, named.refusal,
                          "Mend it, or leave it out of FLASHMASK_PACKS; until then it is passed over."});
  }
}

void look_at_read_only_caches(const Policy& policy, std::vector<Finding>& findings) {
  for (const std::string& path : policy.read_only_directories) {
    cache::Store store(read_only(path));
    const std::optional<std::string> refusal = store.disabled_reason();
    std::error_code ignored;
    if (!refusal && std::filesystem::exists(path, ignored))
      findings.push_back(
          {"read-only cache", Status::kOk, fmt::format("{}: {}", path, content_of(store, kUnlimitedCacheBytes)), ""});
    else
      findings.push_back({"read-only cache", Status::kProblem, refusal.value_or(fmt::format("{} is not there", path)),
                          "Mend it, or leave it out of FLASHMASK_CACHE_READONLY; until then it is passed over."});
  }
}

Finding look_at_tuning(const Policy& policy) {
  const std::string subject = "tuning";
  const std::size_t shipped = policy.shipped_tuning ? tune::shipped_records().size() : 0;
  const std::string beside = fmt::format("; {} answers come with the library", shipped);
  const std::string& path = policy.tuning_path;
  if (path.empty()) return {subject, Status::kOk, "turned off", ""};
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    if (policy.tuning_is_optional) return {subject, Status::kOk, fmt::format("{}: none yet{}", path, beside), ""};
    return {subject, Status::kProblem, fmt::format("{} is not there", path),
            "Correct FLASHMASK_TUNING, or let `flashmask tune` make it."};
  }
  try {
    const std::size_t answers = read_tuning_answers(path).size();
    return {subject, Status::kOk, fmt::format("{}: {} answers{}", path, answers, beside), ""};
  } catch (const Error& error) {
    return {subject, Status::kProblem, error.what(),
            "Requests take the defaults. Move it away, or name another one with FLASHMASK_TUNING."};
  }
}

void look_at_environment(std::vector<Finding>& findings) {
  for (const SetVariable& variable : set_variables()) {
    std::string names;
    for (const EnvironmentVariable& own : own_variables())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", own.name);
    findings.push_back({"environment", variable.known ? Status::kOk : Status::kProblem,
                        fmt::format("{}={}", variable.name, variable.value),
                        variable.known ? "" : fmt::format("Nothing reads it. Known are {}.", names)});
  }
}

}  // namespace

std::vector<Finding> diagnose(const Policy& policy) {
  std::vector<Finding> findings;
  const auto guarded = [&](const char* subject, auto&& look) {
    try {
      look();
    } catch (const std::exception& error) {
      findings.push_back({subject, Status::kProblem, error.what(), ""});
    }
  };
  guarded("library",
          [&] { findings.push_back({"library", Status::kOk, fmt::format("FlashMask JIT {}", version()), ""}); });
  guarded("nvrtc", [&] { findings.push_back(look_for_nvrtc(policy)); });
  guarded("driver", [&] { look_for_gpus(findings); });
  guarded("cache directory", [&] { findings.push_back(look_at_cache(policy)); });
  guarded("pack", [&] { look_at_packs(policy, findings); });
  guarded("read-only cache", [&] { look_at_read_only_caches(policy, findings); });
  guarded("tuning", [&] { findings.push_back(look_at_tuning(policy)); });
  guarded("environment", [&] { look_at_environment(findings); });
  return findings;
}

}  // namespace flashmask
