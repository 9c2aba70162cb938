#pragma once

#include <cerrno>
#include <utility>

#include "cache/file_system.h"

namespace flashmask::cache {

/// A descriptor that closes itself. Negative: none, and the number is the negative errno that says why.
class Descriptor {
 public:
  Descriptor(FileSystem& files, int number) : files_(&files), number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : files_(other.files_), number_(std::exchange(other.number_, -EBADF)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      files_ = other.files_;
      number_ = std::exchange(other.number_, -EBADF);
    }
    return *this;
  }

  int number() const { return number_; }
  /// 0 or the negative errno. Never called twice for one number, whatever the first call said: Linux has released the
  /// number even if close fails, and it may already be somebody else's.
  int close() {
    if (number_ < 0) return 0;
    const int result = files_->close(std::exchange(number_, -EBADF));
    return result == -EINTR ? 0 : result;  // interrupted, and closed all the same
  }

 private:
  FileSystem* files_;
  int number_;
};

/// Repeats a call as long as it is interrupted by a signal.
template <typename Call>
auto uninterrupted(Call&& call) {
  for (;;) {
    const auto result = call();
    if (result != -EINTR) return result;
  }
}

}  // namespace flashmask::cache
