#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <utility>

#include "cache/directory.h"
#include "flashmask/runtime.h"
#include "runtime/environment.h"
#include "runtime/path_list.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

[[noreturn]] void refuse(std::string_view name, const std::string& value) {
  std::string_view allowed;
  for (const EnvironmentVariable& variable : own_variables())
    if (variable.name == name) allowed = variable.allowed;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} = \"{}\": allowed is {}", name, value, allowed),
              fmt::format("Correct {0}, or unset it: unset {0}", name));
}

bool parse_switch(std::string_view name) {
  const auto value = environment_value(name);
  if (!value || *value == "0") return false;
  if (*value != "1") refuse(name, *value);
  return true;
}

std::optional<LogLevel> parse_log_level(std::string_view name) {
  const auto value = environment_value(name);
  if (!value || *value == "warning") return LogLevel::kWarning;
  if (*value == "debug") return LogLevel::kDebug;
  if (*value == "info") return LogLevel::kInfo;
  if (*value == "error") return LogLevel::kError;
  if (*value == "off") return std::nullopt;
  refuse(name, *value);
}

std::optional<std::string> parse_path(std::string_view name) {
  auto value = environment_value(name);
  if (value && value->front() != '/') refuse(name, *value);
  return value;
}

std::vector<std::string> parse_paths(std::string_view name) {
  const std::string value = environment_value(name).value_or("");
  auto paths = parse_path_list(value);
  if (!paths) refuse(name, value);
  return std::move(*paths);
}

/// Where the answers of tuning lie unless somebody says otherwise: they are data, not a cache. Empty without a home.
std::string default_tuning_path() {
  const auto data = environment_value("XDG_DATA_HOME");
  if (data && data->front() == '/') return *data + "/flashmask/tuning.db";
  const auto home = environment_value("HOME");
  if (home && home->front() == '/') return *home + "/.local/share/flashmask/tuning.db";
  return {};
}

std::uint64_t parse_cache_size(std::string_view name) {
  const auto value = environment_value(name);
  if (!value) return kDefaultCacheBytes;
  if (*value == "unlimited") return kUnlimitedCacheBytes;
  const auto size = parse_cache_bytes(*value);
  if (!size) refuse(name, *value);
  return *size;
}

std::chrono::milliseconds parse_wait(std::string_view name) {
  const auto value = environment_value(name);
  if (!value) return kDefaultCompileWait;
  unsigned seconds = 0;  // unsigned, so that a sign is refused
  const auto [end, failure] = std::from_chars(value->data(), value->data() + value->size(), seconds);
  const bool whole = failure == std::errc{} && end == value->data() + value->size();
  if (!whole || std::chrono::seconds(seconds) > kMostCompileWait) refuse(name, *value);
  return std::chrono::seconds(seconds);
}

}  // namespace

std::optional<std::uint64_t> parse_cache_bytes(std::string_view text) {
  constexpr std::pair<std::string_view, int> kUnits[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  for (const auto& [unit, shift] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::string_view digits = text.substr(0, text.size() - unit.size());
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = failure == std::errc{} && end == digits.data() + digits.size();
    if (!whole || number == 0 || number > kUnlimitedCacheBytes >> shift) return std::nullopt;
    return number << shift;
  }
  return std::nullopt;
}

Policy Policy::from_environment() {
  Policy policy;
  if (const auto value = environment_value("FLASHMASK_CACHE_DIR"); value == "off") {
    policy.cache_directory.clear();
  } else if (auto directory = parse_path("FLASHMASK_CACHE_DIR")) {
    policy.cache_directory = std::move(*directory);
  } else {
    const cache::DirectoryChoice choice =
        cache::default_directory(environment_value("XDG_CACHE_HOME"), environment_value("HOME"));
    policy.cache_directory = choice.path;
    policy.cache_refusal = choice.refusal;
  }
  policy.cache_bytes = parse_cache_size("FLASHMASK_CACHE_SIZE");
  policy.compile_wait = parse_wait("FLASHMASK_COMPILE_WAIT");
  policy.packs = parse_paths("FLASHMASK_PACKS");
  policy.read_only_directories = parse_paths("FLASHMASK_CACHE_READONLY");
  policy.no_jit = parse_switch("FLASHMASK_NO_JIT");
  policy.nvrtc_path = parse_path("FLASHMASK_NVRTC").value_or("");
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"}) {
    // Other people's variables: what makes no sense in them is passed over.
    const auto folder = environment_value(name);
    if (folder && folder->front() == '/' && (policy.cuda_toolkits.empty() || policy.cuda_toolkits.front() != *folder))
      policy.cuda_toolkits.push_back(*folder);
  }
  if (const auto value = environment_value("FLASHMASK_TOOLCHAIN"); value && *value != "any") {
    if (!is_toolchain_policy(*value)) refuse("FLASHMASK_TOOLCHAIN", *value);
    policy.toolchain = *value;
  }
  policy.record_path = parse_path("FLASHMASK_RECORD").value_or("");
  if (environment_value("FLASHMASK_TUNING") == "off") {
    policy.shipped_tuning = false;
  } else if (auto path = parse_path("FLASHMASK_TUNING")) {
    policy.tuning_path = std::move(*path);
  } else {
    policy.tuning_path = default_tuning_path();
    policy.tuning_is_optional = true;
  }
  policy.log_level = parse_log_level("FLASHMASK_LOG");
  return policy;
}

}  // namespace flashmask
