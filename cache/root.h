#pragma once

#include <memory>
#include <string>

#include "cache/descriptor.h"
#include "cache/file_system.h"

namespace flashmask::cache {

/// The open version directory of a cache. Everything below is reached through its descriptor, so that the directory
/// that was judged is the one that is used.
class Root {
 public:
  Root(FileSystem& files, int number) : descriptor_(files, number) {}
  int number() const { return descriptor_.number(); }

 private:
  Descriptor descriptor_;
};

/// The root, or why it cannot be used; neither: it does not exist yet.
struct RootResult {
  std::shared_ptr<const Root> root;
  std::string refusal;
};

/// Opens `directory`/v1 and judges both; with `create` they are made (0700) where they are missing. A symbolic link to
/// the directory is followed, for caches are moved to other disks that way, and its target is judged; below it no link
/// is followed.
RootResult open_root(FileSystem& files, const std::string& directory, bool create);

/// A folder of entries, open and judged.
struct Folder {
  Descriptor descriptor;  // negative: the negative errno
  std::string refusal;    // why it is not used although it could be opened; empty otherwise

  bool is_usable() const { return descriptor.number() >= 0 && refusal.empty(); }
};

/// Opens the folder `name` of a root; `path` names the root in messages.
Folder open_folder(FileSystem& files, const Root& root, const std::string& name, const std::string& path);

/// A negative errno in words.
std::string words_for(long negative_errno);

}  // namespace flashmask::cache
