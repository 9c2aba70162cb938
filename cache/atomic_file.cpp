#include "cache/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "cache/layout.h"

namespace flashmask::cache {
namespace {

/// "ab/.tmp-<pid>-<time and count>" for "ab/name". Uniqueness comes from O_EXCL; the name only makes a second try rare,
/// also between containers and machines, where process numbers repeat.
std::string temporary_name(const std::string& path) {
  static std::atomic<std::uint64_t> count{0};
  const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  return fmt::format("{}{}{}-{:x}-{}", directory, kTemporaryPrefix, ::getpid(), now,
                     count.fetch_add(1, std::memory_order_relaxed));
}

/// Opens a new file and tells its name. What mkostemp does, relative to a directory's descriptor, so that nobody can
/// exchange the directory in between.
int create_beside(FileSystem& files, int directory, const std::string& path, mode_t mode, std::string& name) {
  constexpr int kAttempts = 16;
  int result = -EEXIST;
  for (int attempt = 0; attempt < kAttempts && result == -EEXIST; ++attempt) {
    name = temporary_name(path);
    result = uninterrupted(
        [&] { return files.open_at(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode); });
  }
  if (result < 0) name.clear();
  return result;
}

}  // namespace

AtomicFile::AtomicFile(FileSystem& files, int directory, std::string path, mode_t mode)
    : files_(files),
      directory_(directory),
      path_(std::move(path)),
      descriptor_(files, create_beside(files, directory, path_, mode, temporary_path_)) {
  if (descriptor_.number() < 0) fail("create", descriptor_.number());
}

AtomicFile::~AtomicFile() {
  descriptor_.close();
  if (!temporary_path_.empty()) uninterrupted([&] { return files_.unlink_at(directory_, temporary_path_.c_str()); });
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (error_ == 0 && !bytes.empty()) {
    const ssize_t written = uninterrupted([&] { return files_.write(descriptor_.number(), bytes); });
    if (written < 0)
      fail("write", written);
    else if (written == 0)
      fail("write", -EIO);  // no progress and no error: not a loop to stay in
    else
      bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

int AtomicFile::flush() {
  if (descriptor_.number() < 0) return error_;
  // Without fsync a power cut may leave the name with none of the bytes. A file system that has no fsync (EINVAL,
  // ENOTSUP) is used all the same: the reader's checksum finds such a file.
  if (error_ == 0) {
    const int synced = uninterrupted([&] { return files_.sync(descriptor_.number()); });
    if (synced < 0 && synced != -EINVAL && synced != -ENOTSUP) fail("fsync", synced);
  }
  // Network file systems report a full disk only here.
  if (error_ == 0)
    if (const int closed = descriptor_.close(); closed < 0) fail("close", closed);
  return error_;
}

int AtomicFile::commit() {
  flush();
  // The directory is not flushed: a rename lost in a power cut costs one compilation, the flush costs milliseconds on
  // every publication.
  if (error_ == 0) {
    const int renamed =
        uninterrupted([&] { return files_.rename_at(directory_, temporary_path_.c_str(), path_.c_str()); });
    if (renamed < 0)
      fail("rename", renamed);
    else
      temporary_path_.clear();
  }
  return error_;
}

void AtomicFile::fail(const char* step, long negative_errno) {
  error_ = static_cast<int>(-negative_errno);
  failed_step_ = step;
}

}  // namespace flashmask::cache
