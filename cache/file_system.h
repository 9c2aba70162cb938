#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask::cache {

/// The calls that the cache makes to the operating system, one method per call, so that a test can fail each of them at
/// each position. A method returns what the call returns, or the negative errno; none throws for a failed call.
/// The base class is the real thing. Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// The real one, for the life of the process.
  static FileSystem& real();

  /// A descriptor. O_CLOEXEC is always added.
  virtual int open_at(int directory, const char* path, int flags, mode_t mode);
  virtual int close(int descriptor);
  virtual ssize_t read(int descriptor, std::span<std::byte> into);
  virtual ssize_t write(int descriptor, std::span<const std::byte> bytes);
  virtual int sync(int descriptor);
  virtual int status(int descriptor, struct stat& status);
  /// Of the name itself: a symbolic link is not followed.
  virtual int status_at(int directory, const char* path, struct stat& status);
  virtual int rename_at(int directory, const char* from, const char* to);
  virtual int unlink_at(int directory, const char* path);
  virtual int make_directory_at(int directory, const char* path, mode_t mode);
  /// Appends the names below a directory that begin with `prefix`, in no particular order.
  virtual int list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names);
  /// Locks one byte of an open file against other openings of it, by this process or others, without waiting; -EAGAIN:
  /// another opening holds it. It ends with unlock_byte(), or when the last descriptor of this opening is closed, so a
  /// process that is killed keeps none.
  virtual int lock_byte(int descriptor, off_t byte);
  virtual int unlock_byte(int descriptor, off_t byte);
  /// Sets the time of modification to now.
  virtual int touch(int descriptor);
  /// Sets the time of modification of the name itself: a symbolic link is not followed.
  virtual int set_modified_at(int directory, const char* path, const timespec& time);
  /// Maps the first `size` bytes of a file read-only and private; 0 or the negative errno.
  virtual int map(int descriptor, std::size_t size, const std::byte*& address);
  virtual int unmap(const std::byte* address, std::size_t size);
  virtual uid_t user();
};

}  // namespace flashmask::cache
