#include "runtime/tune/database_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "runtime/tune/tuning_schema.h"

namespace flashmask::tune {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatienceOfWriters = 30s;
constexpr auto kPatienceOfReaders = 5s;  // a look-up is not worth a longer wait: there is a default

[[noreturn]] void fail(const std::string& path, std::string_view doing, int reason, const std::string& hint) {
  throw Error(ErrorCode::kStorage, fmt::format("{}: cannot {}: {}", path, doing, std::strerror(reason)), hint);
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}; it is left as it is", path, what),
              "choose another path for the tuning database, or move that file away");
}

/// Makes the folders that are missing, for the user alone.
void make_folders(const std::string& folder) {
  if (folder.empty() || ::access(folder.c_str(), F_OK) == 0) return;
  const std::size_t slash = folder.find_last_not_of('/') == std::string::npos ? 0 : folder.rfind('/');
  if (slash != std::string::npos && slash > 0) make_folders(folder.substr(0, slash));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    fail(folder, "make the folder of the tuning database", errno,
         "make it, with mkdir -p, or choose a path in a folder that can be written");
}

/// The path without links, of a file that is there or of a new one in a folder that is.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> whole(::realpath(path.c_str(), nullptr), std::free);
  if (whole) return whole.get();
  const int reason = errno;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(folder.c_str(), nullptr), std::free);
  if (reason != ENOENT || !real)
    fail(path, "find the tuning database", reason == ENOENT ? errno : reason, "check the path and its folders");
  const std::string_view above = real.get();
  return fmt::format("{}/{}", above == "/" ? "" : above, path.substr(slash == std::string::npos ? 0 : slash + 1));
}

/// Looks at what lies at the path without opening it: a pipe would wait for its writer. False: nothing does.
bool is_there(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos)
    throw Error(ErrorCode::kInvalidArgument, "the path of a tuning database is empty or holds a NUL",
                "give the path of a file");
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode)) return true;
    refuse(path, S_ISDIR(status.st_mode) ? "is a directory, not a tuning database"
                                         : "is no regular file, so no tuning database");
  }
  const int reason = errno;
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
    refuse(path, fmt::format("is a link that leads to no file ({})", std::strerror(reason)));
  if (reason != ENOENT) fail(path, "find the tuning database", reason, "check the path and its folders");
  return false;
}

void create_empty(const std::string& path) {
  if (path.ends_with('/')) refuse(path, "is the path of a directory, not of a tuning database");
  if (const std::size_t slash = path.rfind('/'); slash != std::string::npos) make_folders(path.substr(0, slash));
  const int created = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (created >= 0)
    ::close(created);
  else if (errno != EEXIST)  // another process was faster
    fail(path, "make the tuning database", errno, "its folder must be writable: chmod u+w it, or choose another path");
}

enum class Content { kEmpty, kOurs };

/// Judges the first bytes, read without a lock: those that are looked at never change in a file of ours. Throws for one
/// that is not.
Content judge(const Connection& connection) {
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  constexpr std::size_t kVersionAt = 60, kApplicationAt = 68;
  sqlite3_file* file = connection.file();
  sqlite3_int64 size = 0;
  if (const int code = file->pMethods->xFileSize(file, &size); code != SQLITE_OK)
    connection.fail("measure the tuning database", code);
  if (size == 0) return Content::kEmpty;
  std::array<unsigned char, 72> header{};
  // What a short file lacks is read as zeros.
  const int code = file->pMethods->xRead(file, header.data(), static_cast<int>(header.size()), 0);
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) connection.fail("read the tuning database", code);
  const auto number_at = [&header](std::size_t at) {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number = number << 8 | header[at + i];
    return number;
  };
  if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0)
    refuse(connection.path(), "is not a tuning database");
  if (number_at(kApplicationAt) != kApplicationId)
    refuse(connection.path(),
           fmt::format("is an SQLite database of something else (application id {:#010x}, not {:#010x})",
                       number_at(kApplicationAt), kApplicationId));
  if (const std::uint32_t version = number_at(kVersionAt); version > kSchemaVersion)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: is a tuning database of version {}, this library reads up to version {}; it is left "
                            "as it is",
                            connection.path(), version, kSchemaVersion),
                "use a newer library, or another path");
  return Content::kOurs;
}

/// A lock against everyone else, by SQLite's own means and below its notice.
void lock_exclusively(const Connection& connection, sqlite3_file* file) {
  const auto deadline = std::chrono::steady_clock::now() + kPatienceOfWriters;
  for (;;) {
    int code = file->pMethods->xLock(file, SQLITE_LOCK_SHARED);
    if (code == SQLITE_OK) code = file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE);
    if (code == SQLITE_OK) return;
    // Two that hold a shared one would wait for each other for ever.
    file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
    if ((code & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() > deadline)
      connection.fail("set the damaged tuning database aside", code);
    std::this_thread::sleep_for(5ms + std::chrono::milliseconds(::getpid() % 7));
  }
}

/// "20261127T120000Z"
std::string utc_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc)};
}

/// Never replaces a file. False: the new name is taken.
bool rename_to_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) {  // a file system that cannot do it at once
    struct stat status{};
    if (::lstat(to.c_str(), &status) == 0) return false;
    if (::rename(from.c_str(), to.c_str()) == 0) return true;
  }
  if (errno == EEXIST) return false;
  fail(from, "set the damaged tuning database aside", errno, "move it away, or make its folder writable");
}

void prepare(Connection& connection) {
  constexpr std::string_view kDoing = "prepare the tuning database";
  // One file at rest, without memory that processes share: it can lie on any file system and be read where nothing can
  // be written.
  connection.execute("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON", kDoing);
}

}  // namespace

Connection open_for_writing(const std::string& path, std::string& set_aside) {
  // Links are followed once: what one leads to may be set aside and made anew, which a link that leads nowhere forbids.
  if (!is_there(path)) create_empty(path);
  const std::string real = resolved(path);
  // Others may set aside, remove or make the file at the same time.
  constexpr int kMostAttempts = 8;
  for (int attempt = 1;; ++attempt) {
    if (!is_there(real)) create_empty(real);
    std::optional<Connection> opened;
    try {
      opened.emplace(real, Connection::Access::kWrite, kPatienceOfWriters);
    } catch (const Error&) {
      if (is_there(real) || attempt == kMostAttempts) throw;
      continue;
    }
    Connection& connection = *opened;
    if (connection.is_read_only())
      throw Error(ErrorCode::kStorage, fmt::format("{}: cannot be written, only read", real),
                  "make it writable, with chmod u+w, or choose another path");
    const Content content = judge(connection);
    try {
      prepare(connection);
      // Ours may be empty still: the process that made it was killed, and this one has just undone what it began.
      make_schema(connection);
      if (content == Content::kOurs) check_content(connection);
      return std::move(connection);
    } catch (const SqliteError& error) {
      if (!(error.is_damage() || error.is_moved()) || attempt == kMostAttempts) throw;
      if (!error.is_damage()) continue;
    }
    if (const std::string name = set_file_aside(connection); !name.empty()) set_aside = name;
  }
}

Connection open_for_reading(const std::string& path) {
  if (!is_there(path))
    throw Error(ErrorCode::kNotFound, fmt::format("{}: there is no tuning database", path),
                "tune, or import answers, to make one");
  Connection connection(resolved(path), Connection::Access::kRead, kPatienceOfReaders);
  if (judge(connection) == Content::kOurs) {
    Statement(connection, "SELECT id FROM keys", "read the tuning database's schema");
    return connection;
  }
  Connection empty = Connection::in_memory();
  make_schema(empty);
  return empty;
}

std::string set_file_aside(Connection& connection) {
  const std::string& path = connection.path();
  sqlite3_file* file = connection.file();
  lock_exclusively(connection, file);
  int is_moved = 0;
  file->pMethods->xFileControl(file, SQLITE_FCNTL_HAS_MOVED, &is_moved);
  if (is_moved) return "";
  const std::string base = fmt::format("{}.corrupt-{}", path, utc_stamp());
  for (int taken = 0;; ++taken) {
    const std::string name = taken == 0 ? base : fmt::format("{}-{}", base, taken + 1);
    struct stat status{};
    if (::lstat(name.c_str(), &status) == 0) continue;
    // The journal first: left behind, it would be played back into the new database.
    const std::string journal = path + "-journal";
    if (::lstat(journal.c_str(), &status) == 0 && !rename_to_free(journal, name + "-journal")) continue;
    if (rename_to_free(path, name)) return name;
  }
}

}  // namespace flashmask::tune
