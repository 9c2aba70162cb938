#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"
#include "runtime/path_list.h"
#include "runtime/toolchain.h"

namespace flashmask::c_abi {
namespace {

static_assert(FM_LOG_ERROR == static_cast<int>(LogLevel::kError));

std::optional<LogLevel> log_level_of(int level) {
  const int checked = enumerator<int>(level, FM_LOG_OFF, "log_level");
  if (checked == FM_LOG_OFF) return std::nullopt;
  return static_cast<LogLevel>(checked);
}

constexpr std::int64_t kNoWait = -1;  // 0 stands for what is usual

fm_policy default_policy() {
  return {.struct_size = sizeof(fm_policy),
          .cache_directory = nullptr,
          .nvrtc_path = nullptr,
          .toolchain = nullptr,
          .no_jit = 0,
          .log_level = FM_LOG_WARNING,
          .log = nullptr,
          .log_user = nullptr,
          .record_path = nullptr,
          .cache_bytes = kDefaultCacheBytes,
          .packs = nullptr,
          .embedded_packs = nullptr,
          .num_embedded_packs = 0,
          .read_only_directories = nullptr,
          .compile_wait_ms = kDefaultCompileWait.count(),
          .tuning_path = nullptr,
          .tuning_is_optional = 0,
          .no_shipped_tuning = 0};
}

std::vector<std::string> paths_of(const char* text, const char* name) {
  auto paths = parse_path_list(text_or_empty(text));
  if (!paths) refuse(fmt::format("{} = \"{}\": absolute paths with ':' between are needed", name, text));
  return std::move(*paths);
}

std::vector<std::span<const std::byte>> embedded_packs_of(const fm_policy& policy) {
  std::vector<std::span<const std::byte>> packs;
  if (policy.num_embedded_packs != 0 && !policy.embedded_packs) refuse("embedded_packs is null");
  for (std::size_t i = 0; i < policy.num_embedded_packs; ++i) {
    const fm_bytes& bytes = policy.embedded_packs[i];
    if (!bytes.data && bytes.size != 0) refuse(fmt::format("embedded_packs[{}].data is null", i));
    packs.emplace_back(static_cast<const std::byte*>(bytes.data), bytes.size);
  }
  return packs;
}

Policy policy_of(const fm_policy* given) {
  if (!given) return Policy::from_environment();
  const fm_policy c_policy = taken(given, default_policy(), "fm_policy");
  Policy policy;
  policy.cache_directory = text_or_empty(c_policy.cache_directory);
  if (!policy.cache_directory.empty() && policy.cache_directory.front() != '/')
    refuse(fmt::format("cache_directory = \"{}\": an absolute path is needed", policy.cache_directory));
  if (c_policy.cache_bytes != 0) policy.cache_bytes = c_policy.cache_bytes;
  policy.packs = paths_of(c_policy.packs, "packs");
  policy.embedded_packs = embedded_packs_of(c_policy);
  policy.read_only_directories = paths_of(c_policy.read_only_directories, "read_only_directories");
  policy.tuning_path = text_or_empty(c_policy.tuning_path);
  if (!policy.tuning_path.empty() && policy.tuning_path.front() != '/')
    refuse(fmt::format("tuning_path = \"{}\": an absolute path is needed", policy.tuning_path));
  policy.tuning_is_optional = c_policy.tuning_is_optional != 0;
  policy.shipped_tuning = c_policy.no_shipped_tuning == 0;
  if (c_policy.compile_wait_ms < kNoWait || c_policy.compile_wait_ms > kMostCompileWait.count())
    refuse(fmt::format("compile_wait_ms = {}: 0 to {}, or -1 is allowed", c_policy.compile_wait_ms,
                       kMostCompileWait.count()));
  if (c_policy.compile_wait_ms != 0)
    policy.compile_wait = std::chrono::milliseconds(std::max<std::int64_t>(c_policy.compile_wait_ms, 0));
  policy.nvrtc_path = text_or_empty(c_policy.nvrtc_path);
  policy.toolchain = text_or_empty(c_policy.toolchain);
  if (!is_toolchain_policy(policy.toolchain))
    refuse(fmt::format("toolchain = \"{}\": null, a major version (13) or a build (13.0.88) is allowed",
                       policy.toolchain));
  policy.no_jit = c_policy.no_jit != 0;
  policy.record_path = text_or_empty(c_policy.record_path);
  if (!policy.record_path.empty() && policy.record_path.front() != '/')
    refuse(fmt::format("record_path = \"{}\": an absolute path is needed", policy.record_path));
  policy.log_level = log_level_of(c_policy.log_level);
  if (c_policy.log)
    policy.log = [log = c_policy.log, user = c_policy.log_user](LogLevel level, const std::string& message) {
      log(static_cast<fm_log_level>(level), message.c_str(), user);
    };
  return policy;
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_init_policy(fm_policy* policy, size_t struct_size) {
  return guarded([&] { initialise(policy, struct_size, default_policy(), "fm_policy"); });
}

fm_status fm_policy_from_environment(fm_policy* policy) {
  return guarded([&] {
    thread_local flashmask::Policy owner;
    thread_local std::string packs, read_only_directories;
    owner = flashmask::Policy::from_environment();
    packs = flashmask::to_path_list(owner.packs);
    read_only_directories = flashmask::to_path_list(owner.read_only_directories);
    fm_policy filled = default_policy();
    filled.cache_directory = owner.cache_directory.c_str();
    filled.cache_bytes = owner.cache_bytes;
    filled.compile_wait_ms = owner.compile_wait.count() == 0 ? kNoWait : owner.compile_wait.count();
    filled.packs = packs.c_str();
    filled.read_only_directories = read_only_directories.c_str();
    filled.tuning_path = owner.tuning_path.c_str();
    filled.tuning_is_optional = owner.tuning_is_optional;
    filled.no_shipped_tuning = owner.shipped_tuning ? 0 : 1;
    filled.nvrtc_path = owner.nvrtc_path.c_str();
    filled.toolchain = owner.toolchain.c_str();
    filled.no_jit = owner.no_jit;
    filled.record_path = owner.record_path.c_str();
    filled.log_level = owner.log_level ? static_cast<fm_log_level>(*owner.log_level) : FM_LOG_OFF;
    give(policy, filled, "fm_policy");
  });
}

fm_status fm_runtime_create(fm_device* device, const fm_policy* policy, fm_runtime** runtime) {
  return guarded([&] {
    fm_runtime*& into = needed(runtime, "runtime");
    auto made = std::make_unique<flashmask::Runtime>(device ? device->device : nullptr, policy_of(policy));
    into = new fm_runtime{std::move(made)};
  });
}

void fm_runtime_release(fm_runtime* runtime) {
  delete runtime;
}

fm_status fm_runtime_get_counters(const fm_runtime* runtime, fm_counters* counters) {
  return guarded([&] {
    const flashmask::RuntimeCounters counted = needed(runtime, "runtime").runtime->counters();
    give(counters,
         fm_counters{.struct_size = sizeof(fm_counters),
                     .requests = counted.requests,
                     .memory_hits = counted.memory_hits,
                     .disk_hits = counted.disk_hits,
                     .compiles = counted.compiles,
                     .stores = counted.stores,
                     .failed_stores = counted.failed_stores,
                     .generate_seconds = counted.generate_seconds,
                     .lookup_seconds = counted.lookup_seconds,
                     .compile_seconds = counted.compile_seconds,
                     .load_seconds = counted.load_seconds,
                     .pack_hits = counted.pack_hits},
         "fm_counters");
  });
}

}  // extern "C"
