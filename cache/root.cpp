#include "cache/root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "cache/directory.h"
#include "cache/layout.h"

namespace flashmask::cache {
namespace {

RootResult refused(std::string_view what, const std::string& path, int failure) {
  return {nullptr, fmt::format("cannot {} the cache directory {}: {}", what, path, words_for(failure))};
}

/// Why an open directory is not used, or "".
std::string judge(FileSystem& files, const std::string& path, int descriptor) {
  struct stat status{};
  if (const int failure = uninterrupted([&] { return files.status(descriptor, status); }); failure < 0)
    return fmt::format("cannot look at the cache directory {}: {}", path, words_for(failure));
  return refuse_directory(path, status, files.user()).value_or("");
}

/// Creates the missing directories of an absolute path, each 0700. 0 or the negative errno.
int make_directories(FileSystem& files, const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const int made = uninterrupted([&] { return files.make_directory_at(AT_FDCWD, part.c_str(), S_IRWXU); });
    // A parent may refuse to be created (EACCES, EROFS on "/") and exist: only the last answer counts.
    if (slash == std::string::npos) return made == -EEXIST ? 0 : made;
  }
}

}  // namespace

std::string words_for(long negative_errno) {
  return std::generic_category().message(static_cast<int>(-negative_errno));
}

RootResult open_root(FileSystem& files, const std::string& directory, bool create) {
  const auto open_top = [&] {
    return uninterrupted([&] { return files.open_at(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY, 0); });
  };
  int number = open_top();
  if (number == -ENOENT) {
    if (!create) return {};
    if (const int failure = make_directories(files, directory); failure < 0)
      return refused("create", directory, failure);
    number = open_top();
  }
  if (number < 0) return refused("open", directory, number);
  const Descriptor top(files, number);
  if (std::string refusal = judge(files, directory, number); !refusal.empty()) return {nullptr, std::move(refusal)};

  const std::string version_path = fmt::format("{}/{}", directory, kVersionDirectory);
  const auto open_version = [&] {
    return uninterrupted(
        [&] { return files.open_at(top.number(), kVersionDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0); });
  };
  number = open_version();
  if (number == -ENOENT) {
    if (!create) return {};
    const int made = uninterrupted([&] { return files.make_directory_at(top.number(), kVersionDirectory, S_IRWXU); });
    if (made < 0 && made != -EEXIST) return refused("create", version_path, made);
    number = open_version();
  }
  if (number < 0) return refused("open", version_path, number);
  auto root = std::make_shared<const Root>(files, number);
  if (std::string refusal = judge(files, version_path, number); !refusal.empty()) return {nullptr, std::move(refusal)};
  return {std::move(root), {}};
}

Folder open_folder(FileSystem& files, const Root& root, const std::string& name, const std::string& path) {
  Folder folder{Descriptor(files, uninterrupted([&] {
                             return files.open_at(root.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
                           })),
                {}};
  if (folder.descriptor.number() >= 0)
    folder.refusal = judge(files, fmt::format("{}/{}", path, name), folder.descriptor.number());
  return folder;
}

}  // namespace flashmask::cache
