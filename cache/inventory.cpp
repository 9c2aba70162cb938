#include "cache/inventory.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "cache/layout.h"

namespace flashmask::cache {
namespace {

/// The names in an open directory; 0 or the negative errno.
int list_all(FileSystem& files, int directory, std::vector<std::string>& names) {
  return uninterrupted([&] {
    names.clear();
    return files.list(directory, ".", "", names);
  });
}

class InventoryTaker {
 public:
  InventoryTaker(FileSystem& files, const Root& root, const std::string& path)
      : files_(files), root_(root), path_(path) {}

  Inventory take() {
    std::vector<std::string> folders;
    if (const int failure = list_all(files_, root_.number(), folders); failure < 0) fail(path_, words_for(failure));
    for (const std::string& folder : folders) {
      if (is_folder_name(folder))
        take_folder(folder);
      else if (folder != "." && folder != ".." && folder != kLockFile)
        inventory_.strays.push_back(folder);
    }
    return std::move(inventory_);
  }

 private:
  void take_folder(const std::string& name) {
    const Folder folder = open_folder(files_, root_, name, path_);
    if (folder.descriptor.number() == -ENOENT) return;
    if (folder.descriptor.number() < 0)
      return fail(fmt::format("{}/{}", path_, name), words_for(folder.descriptor.number()));
    if (!folder.refusal.empty()) return fail(fmt::format("{}/{}", path_, name), folder.refusal);
    std::vector<std::string> names;
    if (const int failure = list_all(files_, folder.descriptor.number(), names); failure < 0)
      return fail(fmt::format("{}/{}", path_, name), words_for(failure));
    for (std::string& file : names) {
      if (file == "." || file == "..") continue;
      const bool temporary = file.starts_with(kTemporaryPrefix);
      const auto parsed = parse_file_name(file);
      if (!temporary && !(parsed && folder_of(parsed->digest) == name)) {
        inventory_.strays.push_back(fmt::format("{}/{}", name, file));
        continue;
      }
      struct stat status{};
      const int looked =
          uninterrupted([&] { return files_.status_at(folder.descriptor.number(), file.c_str(), status); });
      if (looked == -ENOENT) continue;  // gone meanwhile
      if (looked < 0) {
        fail(fmt::format("{}/{}/{}", path_, name, file), words_for(looked));
        continue;
      }
      const bool ours = status.st_uid == files_.user() || status.st_uid == 0;
      (temporary ? inventory_.temporaries : inventory_.entries)
          .push_back({name, std::move(file), FileIdentity::of(status), S_ISREG(status.st_mode) && ours});
    }
  }

  void fail(const std::string& path, const std::string& why) {
    if (inventory_.failure.empty()) inventory_.failure = fmt::format("cannot look at {}: {}", path, why);
  }

  FileSystem& files_;
  const Root& root_;
  const std::string& path_;
  Inventory inventory_;
};

}  // namespace

Inventory take_inventory(FileSystem& files, const Root& root, const std::string& path) {
  return InventoryTaker(files, root, path).take();
}

}  // namespace flashmask::cache
