#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "cache/descriptor.h"
#include "cache/file_identity.h"
#include "cache/file_system.h"
#include "cache/lookup.h"

namespace flashmask::cache {

/// A file in the place of an entry: opened without following a link and without waiting for a FIFO, and judged by its
/// own descriptor. Not thread-safe; the file system must outlive it.
class EntryFile {
 public:
  /// Opens `name` in an open folder.
  EntryFile(FileSystem& files, int folder, const std::string& name);

  /// Why the file is not read at all: absent, unreadable, not a regular file, another's, writable by others, too large.
  const std::optional<MissReason>& defect() const { return defect_; }
  /// Says more of the defect; empty for a plain absence.
  const std::string& detail() const { return detail_; }
  /// The server of a network file system has forgotten the file or its folder: worth opening it anew.
  bool is_stale() const { return stale_; }
  int descriptor() const { return descriptor_.number(); }
  /// Meaningful once the file could be opened.
  const struct stat& status() const { return status_; }
  FileIdentity identity() const { return FileIdentity::of(status_); }

  /// Reads a file without a defect, from its beginning, and checks that it is the entry of `digest` and `tag` and that
  /// the validator accepts it. The details of a miss are without the file's path.
  LookupResult read(const Digest& digest, std::string_view tag, const Validator& validator);
  /// What the first bytes of a file without a defect say: nothing if it begins like an entry of its length.
  std::optional<LookupResult> glance();

 private:
  void judge();
  /// Fills as much as there is; the count, or the negative errno.
  ssize_t fill(std::span<std::byte> into);

  FileSystem& files_;
  Descriptor descriptor_;
  struct stat status_{};
  std::optional<MissReason> defect_;
  std::string detail_;
  bool stale_ = false;
};

/// What became of removing a file that was judged before.
enum class Unlinking {
  kRemoved,
  kGone,     // somebody else removed it
  kChanged,  // its name now stands for another file, or for this one after it was used or changed: left alone
  kForeign,  // not an entry of ours: left alone
  kFailed,
};

/// Removes a file from an open folder, if its name still stands for the file that was judged. If it is exchanged just
/// between this look and the removal, one good entry is lost and made again.
Unlinking unlink_judged(FileSystem& files, int folder, const std::string& name, const FileIdentity& judged);
/// The same, and only if it begins like an entry of ours, whole or damaged.
Unlinking unlink_entry(FileSystem& files, int folder, const std::string& name, const FileIdentity& judged);

}  // namespace flashmask::cache
