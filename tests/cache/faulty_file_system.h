#pragma once

#include <cerrno>
#include <set>
#include <string>

#include "cache/file_system.h"

namespace flashmask::cache {

/// The real file system with one call, or all from one on, made to fail, in the way that calls fail: a failed close has
/// closed, a failed write may have written a part. Flushing to the disk is left out, for speed.
class FaultyFileSystem : public FileSystem {
 public:
  enum class Mode { kOnce, kFromThenOn };

  /// Fails the call number `position` (from 1; 0: none) with `error`.
  FaultyFileSystem(int position, int error, Mode mode) : position_(position), error_(error), mode_(mode) {}

  int error() const { return error_; }
  int calls() const { return calls_; }
  /// Whether a call was made to fail, and which.
  const std::string& failed_call() const { return failed_call_; }
  std::size_t open_descriptors() const { return open_.size(); }

  int open_at(int directory, const char* path, int flags, mode_t mode) override {
    if (fails("open")) return -error_;
    return opened(FileSystem::open_at(directory, path, flags, mode));
  }
  int close(int descriptor) override {
    const bool failing = fails("close");
    open_.erase(descriptor);
    const int result = FileSystem::close(descriptor);
    return failing ? -error_ : result;
  }
  ssize_t read(int descriptor, std::span<std::byte> into) override {
    if (fails("read")) return -error_;
    return FileSystem::read(descriptor, into.first((into.size() + 1) / 2));  // short, as signals make it
  }
  ssize_t write(int descriptor, std::span<const std::byte> bytes) override {
    if (fails("write")) return -error_;
    return FileSystem::write(descriptor, bytes.first((bytes.size() + 1) / 2));
  }
  int sync(int) override { return fails("fsync") ? -error_ : 0; }
  int status(int descriptor, struct stat& status) override {
    return fails("fstat") ? -error_ : FileSystem::status(descriptor, status);
  }
  int status_at(int directory, const char* path, struct stat& status) override {
    return fails("fstatat") ? -error_ : FileSystem::status_at(directory, path, status);
  }
  int rename_at(int directory, const char* from, const char* to) override {
    return fails("rename") ? -error_ : FileSystem::rename_at(directory, from, to);
  }
  int unlink_at(int directory, const char* path) override {
    return fails("unlink") ? -error_ : FileSystem::unlink_at(directory, path);
  }
  int make_directory_at(int directory, const char* path, mode_t mode) override {
    return fails("mkdir") ? -error_ : FileSystem::make_directory_at(directory, path, mode);
  }
  int map(int descriptor, std::size_t size, const std::byte*& address) override {
    return fails("mmap") ? -error_ : FileSystem::map(descriptor, size, address);
  }
  int list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names) override {
    if (fails("list")) return -error_;
    return FileSystem::real().list(directory, path, prefix, names);
  }
  int lock_byte(int descriptor, off_t byte) override {
    return fails("lock") ? -error_ : FileSystem::lock_byte(descriptor, byte);
  }
  int unlock_byte(int descriptor, off_t byte) override {
    return fails("unlock") ? -error_ : FileSystem::unlock_byte(descriptor, byte);
  }
  int touch(int descriptor) override { return fails("touch") ? -error_ : FileSystem::touch(descriptor); }
  int set_modified_at(int directory, const char* path, const timespec& time) override {
    return fails("utimensat") ? -error_ : FileSystem::set_modified_at(directory, path, time);
  }

 private:
  bool fails(const char* call) {
    ++calls_;
    if (position_ == 0 || calls_ < position_ || (mode_ == Mode::kOnce && calls_ > position_)) return false;
    if (failed_call_.empty()) failed_call_ = call;
    return true;
  }
  int opened(int descriptor) {
    if (descriptor >= 0) open_.insert(descriptor);
    return descriptor;
  }

  int position_;
  int error_;
  Mode mode_;
  int calls_ = 0;
  std::string failed_call_;
  std::set<int> open_;
};

}  // namespace flashmask::cache
