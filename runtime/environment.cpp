#include "runtime/environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace flashmask {
namespace {

constexpr std::string_view kPrefix = "FLASHMASK_";

constexpr std::array kOwnVariables = {
    EnvironmentVariable{"FLASHMASK_CACHE_DIR", "an absolute directory, or off for no cache on disk"},
    EnvironmentVariable{"FLASHMASK_CACHE_SIZE",
                        "a size with its unit, such as 512MiB or 2GiB (KiB, MiB, GiB, TiB), or "
                        "unlimited"},
    EnvironmentVariable{"FLASHMASK_COMPILE_WAIT", "whole seconds, 0 to 3600"},
    EnvironmentVariable{"FLASHMASK_PACKS", "absolute paths of packs, with ':' between"},
    EnvironmentVariable{"FLASHMASK_CACHE_READONLY", "absolute directories, with ':' between"},
    EnvironmentVariable{"FLASHMASK_NO_JIT", "0 or 1"},
    EnvironmentVariable{"FLASHMASK_NVRTC", "the full path of an NVRTC library"},
    EnvironmentVariable{"FLASHMASK_TOOLCHAIN", "any, a major version such as 13, or a build such as 13.0.88"},
    EnvironmentVariable{"FLASHMASK_RECORD", "an absolute path of a manifest, which need not be there"},
    EnvironmentVariable{"FLASHMASK_TUNING", "an absolute path of a tuning database or its JSON export, or off"},
    EnvironmentVariable{"FLASHMASK_LOG", "debug, info, warning, error or off"},
};

}  // namespace

std::span<const EnvironmentVariable> own_variables() {
  return kOwnVariables;
}

std::optional<std::string> environment_value(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  if (!value || !*value) return std::nullopt;
  return value;
}

std::vector<SetVariable> set_variables() {
  std::vector<SetVariable> found;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with(kPrefix)) continue;
    const std::string_view name = text.substr(0, text.find('='));
    const bool known = std::any_of(kOwnVariables.begin(), kOwnVariables.end(),
                                   [&](const EnvironmentVariable& variable) { return variable.name == name; });
    found.push_back({std::string(name), std::string(text.substr(std::min(text.size(), name.size() + 1))), known});
  }
  std::sort(found.begin(), found.end(), [](const SetVariable& a, const SetVariable& b) { return a.name < b.name; });
  return found;
}

}  // namespace flashmask
