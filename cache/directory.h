#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <optional>
#include <string>
#include <string_view>

namespace flashmask::cache {

/// Where the cache lies, or why there is no such place. Exactly one of the two is filled.
struct DirectoryChoice {
  std::string path;
  std::string refusal;
};

/// The user's cache directory: `$XDG_CACHE_HOME/flashmask`, else `$HOME/.cache/flashmask`. A pure function of the two
/// values (nullopt: not set). An empty or relative XDG_CACHE_HOME is ignored, as the XDG specification demands; a home
/// that is missing or relative is refused. Never /tmp and never the current directory: a cache holds executable code.
DirectoryChoice default_directory(std::optional<std::string_view> xdg_cache_home, std::optional<std::string_view> home);

/// Judges a directory that is to hold executable code: owned by `user` or root, not writable by group or others.
/// Returns why it is refused, with the command that mends it, or nothing if it is fine.
std::optional<std::string> refuse_directory(const std::string& path, const struct stat& status, uid_t user);

/// A path in quotes, so that the command in a message can be pasted whatever the path holds.
std::string quoted_for_shell(const std::string& path);

}  // namespace flashmask::cache
