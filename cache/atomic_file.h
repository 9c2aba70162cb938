#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cache/descriptor.h"
#include "cache/file_system.h"

namespace flashmask::cache {

/// Publishes a file atomically: readers see the old bytes or all of the new ones, never a part. Without a commit() that
/// returns 0 nothing is published, and the temporary file is removed.
///
/// Errors are kept: after the first one the other calls do nothing, and commit() returns it. Not thread-safe; the
/// directory and the file system must outlive it.
class AtomicFile {
 public:
  /// Opens a temporary file beside `path`, which is relative to the open `directory`. `mode`: as of open(2), so the
  /// process's umask takes from it.
  AtomicFile(FileSystem& files, int directory, std::string path, mode_t mode = S_IRUSR | S_IWUSR);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Flushes the bytes to the disk and closes the file: what takes time, before a lock is taken for commit(). 0, or the
  /// first error as a positive errno.
  int flush();
  /// Gives the bytes their name, flushed before if they are not yet. 0, or the first error as a positive errno.
  int commit();

  /// The temporary file's path, relative to the directory; empty once it has its name, or if it could not be created.
  const std::string& temporary_path() const { return temporary_path_; }
  /// The step that failed, for a message: "create", "write", "fsync", "close", "rename"; empty if none did.
  const char* failed_step() const { return failed_step_; }

 private:
  void fail(const char* step, long negative_errno);

  FileSystem& files_;
  int directory_;
  std::string path_;
  std::string temporary_path_;  // empty: there is none to remove
  Descriptor descriptor_;
  int error_ = 0;
  const char* failed_step_ = "";
};

}  // namespace flashmask::cache
