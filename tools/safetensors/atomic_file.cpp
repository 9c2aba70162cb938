#include "tools/safetensors/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "flashmask/error.h"

namespace flashmask::safetensors {
namespace {

[[noreturn]] void fail(const std::string& path, const char* action) {
  throw Error(ErrorCode::kStorage, fmt::format("{}: {}: {}", path, action, std::strerror(errno)),
              "nothing was left behind; give a path in an existing, writable directory with enough space");
}

/// What open(2) would have given a new file: mkostemp makes files that only their owner reads. A file that is replaced
/// hands on its permissions.
mode_t permissions_for(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) return status.st_mode & 0777;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path.string()) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    errno = EISDIR;
    fail(path_, "cannot be written");
  }
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  temporary_ = (directory / ("." + path.filename().string() + ".XXXXXX")).string();
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail(path_, "cannot be written");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  // Permissions are a courtesy: a file system without them still gets its file.
  static_cast<void>(::fchmod(descriptor_, permissions_for(path_)));
  if (::fsync(descriptor_) != 0 && errno != EINVAL) fail(path_, "cannot be flushed");
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail(path_, "cannot be closed");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be renamed to");
  temporary_.clear();
}

}  // namespace flashmask::safetensors
