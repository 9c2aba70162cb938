#pragma once

#include <sys/types.h>

#include "cache/descriptor.h"
#include "cache/digest.h"
#include "cache/file_system.h"

namespace flashmask::cache {

/// The byte of the lock file that stands for a digest: 62 of its bits. Two digests with one byte would wait for each
/// other, which costs time and nothing else.
off_t lock_byte_of(const Digest& digest);
/// The byte that stands for changing the amount of what is kept; no digest has it.
inline constexpr off_t kEvictionByte = off_t{1} << 62;

/// A lock on one byte of a directory's lock file, for processes that want to do one thing once. Nothing is left behind:
/// the file is one for all locks, it is never written, and the lock of a process that was killed is gone with it. A
/// child that was forked while a lock is held shares it until one of the two lets it go.
///
/// Locks here save work and never guard correctness: wherever one cannot be had, its caller goes on without. Not
/// thread-safe; two locks exclude each other also within a process. The file system must outlive it.
class ByteLock {
 public:
  enum class State {
    kHeld,         // by this object, until release() or its end
    kBusy,         // by another one
    kUnavailable,  // there are no locks here: a read-only directory, a file system without them …
  };

  /// A lock that is unavailable.
  explicit ByteLock(FileSystem& files);
  /// Opens the lock file of an open directory, creating it (0600) if it is missing.
  ByteLock(FileSystem& files, int directory, off_t byte);
  ~ByteLock();
  ByteLock(ByteLock&& other) noexcept;
  ByteLock& operator=(ByteLock&& other) noexcept;

  /// Tries once, without waiting.
  State attempt();
  void release();
  bool is_held() const { return held_; }
  /// The negative errno of the opening; not negative if there is a lock file.
  int opened() const { return file_.number(); }

 private:
  FileSystem* files_;
  Descriptor file_;
  off_t byte_ = 0;
  bool held_ = false;
};

}  // namespace flashmask::cache
