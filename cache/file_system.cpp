#include "cache/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace flashmask::cache {
namespace {

template <typename Result>
Result or_errno(Result result) {
  return result < 0 ? static_cast<Result>(-errno) : result;
}

/// An open file description owns these locks, not the process: the classic ones vanish when any other descriptor of the
/// file is closed, and two threads cannot exclude each other by them.
int set_byte_lock(int descriptor, off_t byte, short type) {
  struct flock range{};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return or_errno(::fcntl(descriptor, F_OFD_SETLK, &range));
}

}  // namespace

FileSystem& FileSystem::real() {
  // Never destroyed: a store in a static object closes its files through it when the process ends.
  static FileSystem& instance = *new FileSystem;
  return instance;
}

int FileSystem::open_at(int directory, const char* path, int flags, mode_t mode) {
  return or_errno(::openat(directory, path, flags | O_CLOEXEC, mode));
}

int FileSystem::close(int descriptor) {
  return or_errno(::close(descriptor));
}

ssize_t FileSystem::read(int descriptor, std::span<std::byte> into) {
  return or_errno(::read(descriptor, into.data(), into.size()));
}

ssize_t FileSystem::write(int descriptor, std::span<const std::byte> bytes) {
  return or_errno(::write(descriptor, bytes.data(), bytes.size()));
}

int FileSystem::sync(int descriptor) {
  return or_errno(::fsync(descriptor));
}

int FileSystem::status(int descriptor, struct stat& status) {
  return or_errno(::fstat(descriptor, &status));
}

int FileSystem::status_at(int directory, const char* path, struct stat& status) {
  return or_errno(::fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW));
}

int FileSystem::rename_at(int directory, const char* from, const char* to) {
  return or_errno(::renameat(directory, from, directory, to));
}

int FileSystem::unlink_at(int directory, const char* path) {
  return or_errno(::unlinkat(directory, path, 0));
}

int FileSystem::make_directory_at(int directory, const char* path, mode_t mode) {
  return or_errno(::mkdirat(directory, path, mode));
}

int FileSystem::list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names) {
  const int descriptor = open_at(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
  if (descriptor < 0) return descriptor;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(descriptor), ::closedir);  // owns the descriptor
  if (!stream) {
    const int failure = -errno;
    ::close(descriptor);
    return failure;
  }
  for (;;) {
    errno = 0;
    const dirent* item = ::readdir(stream.get());
    if (!item) return -errno;
    const std::string_view name = item->d_name;
    if (name.starts_with(prefix)) names.emplace_back(name);
  }
}

int FileSystem::lock_byte(int descriptor, off_t byte) {
  return set_byte_lock(descriptor, byte, F_WRLCK);
}

int FileSystem::unlock_byte(int descriptor, off_t byte) {
  return set_byte_lock(descriptor, byte, F_UNLCK);
}

int FileSystem::touch(int descriptor) {
  const struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  return or_errno(::futimens(descriptor, times));
}

int FileSystem::set_modified_at(int directory, const char* path, const timespec& time) {
  const struct timespec times[2] = {{0, UTIME_OMIT}, time};
  return or_errno(::utimensat(directory, path, times, AT_SYMLINK_NOFOLLOW));
}

int FileSystem::map(int descriptor, std::size_t size, const std::byte*& address) {
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (mapped == MAP_FAILED) return -errno;
  address = static_cast<const std::byte*>(mapped);
  return 0;
}

int FileSystem::unmap(const std::byte* address, std::size_t size) {
  return or_errno(::munmap(const_cast<std::byte*>(address), size));
}

uid_t FileSystem::user() {
  return ::geteuid();
}

}  // namespace flashmask::cache
