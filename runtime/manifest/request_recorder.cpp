#include "runtime/manifest/request_recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>

#include "flashmask/error.h"
#include "runtime/manifest/write_manifest.h"

namespace flashmask {
namespace {

[[noreturn]] void fail(const std::string& path, std::string_view doing, int reason) {
  throw Error(ErrorCode::kStorage, fmt::format("{}: {}: {}", path, doing, std::strerror(reason)));
}

/// An open file.
class File {
 public:
  File(const std::string& path, int flags)
      // Never to wait for the reader of a pipe, nor to become a terminal's process.
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  struct stat status() const {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) status.st_mode = 0;
    return status;
  }
  /// In one call, so that tables of several writers do not mix. Throws Error{kStorage}.
  void write(const std::string& text, const std::string& path) const {
    ssize_t written = -1;
    do {
      written = ::write(descriptor_, text.data(), text.size());
    } while (written < 0 && errno == EINTR);
    if (written < 0) fail(path, "cannot be written", errno);
    if (static_cast<std::size_t>(written) != text.size()) fail(path, "a table was cut short", ENOSPC);
  }

 private:
  int descriptor_;
};

/// Makes the file with its head, unless it is there. It appears with the head in it: a table that another process
/// appended before the head would make the version a key of that table.
void create_with_head(const std::string& path) {
  const std::string head = manifest_head();
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  const std::string temporary = fmt::format("{}.{}-{:x}", path, ::getpid(), now);
  {
    const File file(temporary, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.is_open()) fail(path, "cannot be created", errno);
    try {
      file.write(head, path);
    } catch (...) {
      ::unlink(temporary.c_str());
      throw;
    }
  }
  const int linked = ::link(temporary.c_str(), path.c_str());
  const int reason = errno;
  ::unlink(temporary.c_str());
  if (linked == 0 || reason == EEXIST) return;
  // A file system without hard links: the same, with a moment in which the file is empty.
  const File file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.is_open())
    file.write(head, path);
  else if (errno != EEXIST)
    fail(path, "cannot be created", errno);
}

}  // namespace

void RequestRecorder::note(const KernelRequest& request) noexcept {
  if (path_.empty()) return;
  const std::lock_guard lock(mutex_);
  if (has_failed_) return;
  try {
    if (!is_open_) read_what_is_there();
    is_open_ = true;
    if (seen_.insert(request).second) append(request);
  } catch (const std::exception& error) {
    has_failed_ = true;
    logger_.warning(fmt::format("requests are not recorded (FLASHMASK_RECORD): {}", error.what()));
  }
}

void RequestRecorder::read_what_is_there() {
  struct stat status{};
  if (::stat(path_.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    fail(path_, "cannot be examined", errno);
  }
  if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::kStorage, path_ + ": is not a regular file");
  if (status.st_size == 0) return;
  // A file that is no manifest is somebody's who did not mean it to be appended to.
  const Manifest manifest = read_manifest(path_);
  seen_.insert(manifest.requests.begin(), manifest.requests.end());
}

void RequestRecorder::append(const KernelRequest& request) {
  // Whatever an unfinished table before it ends with, this one begins a line.
  const std::string table = "\n" + to_table(request);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const File file(path_, O_WRONLY | O_APPEND);
    if (file.is_open()) {
      const struct stat status = file.status();
      if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::kStorage, path_ + ": is not a regular file");
      const bool is_empty = status.st_size == 0;
      return file.write(is_empty ? manifest_head() + table : table, path_);
    }
    if (errno != ENOENT || attempt > 0) fail(path_, "cannot be opened", errno);
    create_with_head(path_);
  }
}

}  // namespace flashmask
