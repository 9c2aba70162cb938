#include "cache/directory.h"

#include <fmt/format.h>

namespace flashmask::cache {
namespace {

bool is_absolute(std::string_view path) {
  return path.starts_with('/');
}

}  // namespace

std::string quoted_for_shell(const std::string& path) {
  std::string text = "'";
  for (char c : path) {
    if (c == '\'')
      text += "'\\''";
    else
      text += c;
  }
  return text + "'";
}

DirectoryChoice default_directory(std::optional<std::string_view> xdg_cache_home,
                                  std::optional<std::string_view> home) {
  const auto below = [](std::string_view base, std::string_view rest) {
    while (base.size() > 1 && base.ends_with('/')) base.remove_suffix(1);
    return fmt::format("{}{}", base == "/" ? "" : base, rest);
  };
  if (xdg_cache_home && is_absolute(*xdg_cache_home)) return {below(*xdg_cache_home, "/flashmask"), ""};
  if (home && is_absolute(*home)) return {below(*home, "/.cache/flashmask"), ""};
  if (home && !home->empty())
    return {"", fmt::format("HOME is \"{}\", which is not an absolute path; set HOME or XDG_CACHE_HOME to one", *home)};
  return {"", "neither XDG_CACHE_HOME nor HOME names a directory; set one of them to an absolute path"};
}

std::optional<std::string> refuse_directory(const std::string& path, const struct stat& status, uid_t user) {
  if (!S_ISDIR(status.st_mode))
    return fmt::format("{} is not a directory; remove it or choose another cache directory", path);
  if (status.st_uid != user && status.st_uid != 0)
    return fmt::format(
        "{} belongs to user {} and holds executable code; only a directory of user {} or root is used: "
        "chown {} {}, or choose another cache directory",
        path, status.st_uid, user, user, quoted_for_shell(path));
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return fmt::format("{} may be written by others (mode {:04o}) and holds executable code: chmod go-w {}", path,
                       status.st_mode & 07777, quoted_for_shell(path));
  return std::nullopt;
}

}  // namespace flashmask::cache
