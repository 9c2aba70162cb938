#include "cache/byte_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cache/layout.h"

namespace flashmask::cache {
namespace {

int open_lock_file(FileSystem& files, int directory) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  return uninterrupted([&] { return files.open_at(directory, kLockFile, kFlags, S_IRUSR | S_IWUSR); });
}

}  // namespace

off_t lock_byte_of(const Digest& digest) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < sizeof bits; ++i) bits = bits << 8 | digest.bytes[i];  // the same on every machine
  return static_cast<off_t>(bits >> 2);
}

ByteLock::ByteLock(FileSystem& files) : files_(&files), file_(files, -ENOLCK) {}

ByteLock::ByteLock(FileSystem& files, int directory, off_t byte)
    : files_(&files), file_(files, open_lock_file(files, directory)), byte_(byte) {}

ByteLock::~ByteLock() {
  release();
}

ByteLock::ByteLock(ByteLock&& other) noexcept
    : files_(other.files_),
      file_(std::move(other.file_)),
      byte_(other.byte_),
      held_(std::exchange(other.held_, false)) {}

ByteLock& ByteLock::operator=(ByteLock&& other) noexcept {
  if (this != &other) {
    release();
    files_ = other.files_;
    file_ = std::move(other.file_);
    byte_ = other.byte_;
    held_ = std::exchange(other.held_, false);
  }
  return *this;
}

ByteLock::State ByteLock::attempt() {
  if (held_) return State::kHeld;
  if (file_.number() < 0) return State::kUnavailable;
  const int result = uninterrupted([&] { return files_->lock_byte(file_.number(), byte_); });
  held_ = result == 0;
  if (held_) return State::kHeld;
  return result == -EAGAIN ? State::kBusy : State::kUnavailable;
}

void ByteLock::release() {
  // Closing alone would leave the lock to a child that was forked meanwhile.
  if (std::exchange(held_, false)) uninterrupted([&] { return files_->unlock_byte(file_.number(), byte_); });
  file_.close();
}

}  // namespace flashmask::cache
