#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>

namespace flashmask::cache {

/// Which file a name stood for when somebody looked, and in which state: device, inode, size and time of change. A file
/// that was replaced, rewritten or touched since is another one.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t modified_seconds = 0;
  std::int64_t modified_nanoseconds = 0;

  static FileIdentity of(const struct stat& status) {
    return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
            static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  }
  std::chrono::system_clock::time_point modified() const {
    using namespace std::chrono;
    return system_clock::time_point(
        duration_cast<system_clock::duration>(seconds(modified_seconds) + nanoseconds(modified_nanoseconds)));
  }
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

}  // namespace flashmask::cache
