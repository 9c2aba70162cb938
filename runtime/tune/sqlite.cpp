#include "runtime/tune/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace flashmask::tune {
namespace {

constexpr int kExtendedBits = 8;
constexpr int kPrimaryMask = (1 << kExtendedBits) - 1;

/// What to do about an error; "" where SQLite's words say all there is.
std::string hint_of(int code) {
  if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_BUSY_RECOVERY)
    return "a process was killed while it wrote; the next one that opens the file for writing undoes its last write";
  if (code == SQLITE_READONLY_DBMOVED) return "the file was moved or removed while it was open; open it again";
  switch (code & kPrimaryMask) {
    case SQLITE_FULL:
      return "free space on its file system; nothing of this write was kept, and what was saved before is there";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return "the file must be readable; to be written, it and its folder must be writable (a journal lies beside it "
             "meanwhile): chmod u+w them, or choose another path";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has held the file for too long; wait for it, or end it";
    case SQLITE_IOERR:
      return "its file system failed or is full; nothing of this write was kept";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "the file is damaged; opened for writing, it is renamed and a new one made";
    default:
      return "";
  }
}

std::chrono::milliseconds::rep bounded(std::chrono::milliseconds patience) {
  return std::min<std::chrono::milliseconds::rep>(patience.count(), 1 << 30);
}

/// Of an SQLite that nobody else uses: without the statistics of its memory, for which it takes a lock at every
/// allocation, a look-up takes two thirds of the time.
void configure_once() {
#ifdef FLASHMASK_OWN_SQLITE
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(configured);  // refused where it runs already, which costs time and nothing else
#endif
}

}  // namespace

SqliteError::SqliteError(const std::string& path, std::string_view doing, int code, const std::string& words)
    : Error(ErrorCode::kStorage, fmt::format("{}: cannot {}: {}", path, doing, words), hint_of(code)), code_(code) {}

bool SqliteError::is_damage() const {
  const int primary = code_ & kPrimaryMask;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

bool SqliteError::is_moved() const {
  return code_ == SQLITE_READONLY_DBMOVED;
}

Connection::Connection(std::string path, Access access, std::chrono::milliseconds patience) : path_(std::move(path)) {
  configure_once();
  const int flags = (access == Access::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path_.c_str(), &handle_, flags, nullptr);
  try {
    if (code != SQLITE_OK) fail("open the tuning database", handle_ ? sqlite3_extended_errcode(handle_) : code);
  } catch (...) {
    close();
    throw;
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, static_cast<int>(bounded(patience)));
  // What stands in a file is data: no view or trigger of it may call functions.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
}

Connection Connection::in_memory() {
  Connection connection;
  connection.path_ = ":memory:";
  const int code = sqlite3_open_v2(":memory:", &connection.handle_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) connection.fail("open a database in memory", code);
  return connection;
}

Connection::~Connection() {
  close();
}

Connection::Connection(Connection&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, nullptr)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    handle_ = std::exchange(other.handle_, nullptr);
  }
  return *this;
}

void Connection::close() noexcept {
  sqlite3_close_v2(std::exchange(handle_, nullptr));
}

sqlite3_file* Connection::file() const {
  sqlite3_file* file = nullptr;
  const int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file));
  if (code != SQLITE_OK || !file || !file->pMethods) fail("reach the file of the tuning database", SQLITE_CANTOPEN);
  return file;
}

bool Connection::is_read_only() const {
  return sqlite3_db_readonly(handle_, "main") != 0;
}

void Connection::execute(const char* sql, std::string_view doing) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(doing, code);
}

void Connection::fail(std::string_view doing, int code) const {
  // The connection's own words where they are about this error, with the operating system's where it was asked.
  const bool is_last = handle_ && (sqlite3_extended_errcode(handle_) & kPrimaryMask) == (code & kPrimaryMask);
  std::string words = is_last ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  const int primary = code & kPrimaryMask;
  const int system = handle_ ? sqlite3_system_errno(handle_) : 0;
  if (is_last && system != 0 && (primary == SQLITE_CANTOPEN || primary == SQLITE_IOERR))
    words += fmt::format(" ({})", std::strerror(system));
  throw SqliteError(path_, doing, code, words);
}

Statement::Statement(const Connection& connection, std::string_view sql, std::string_view doing)
    : connection_(connection), doing_(doing) {
  check(sqlite3_prepare_v2(connection_.handle(), sql.data(), static_cast<int>(sql.size()), &handle_, nullptr));
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) connection_.fail(doing_, code);
}

Statement& Statement::bind(std::string_view text) {
  // Without an address it would be bound as NULL.
  const char* data = text.data() ? text.data() : "";
  check(sqlite3_bind_text64(handle_, ++bound_, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  check(sqlite3_bind_int64(handle_, ++bound_, number));
  return *this;
}

Statement& Statement::bind(double number) {
  check(sqlite3_bind_double(handle_, ++bound_, number));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) connection_.fail(doing_, code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() {
  sqlite3_reset(handle_);
  bound_ = 0;
}

bool Statement::read(int column, std::string& text) const {
  if (sqlite3_column_type(handle_, column) != SQLITE_TEXT) return false;
  const auto* characters = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (!characters) return false;
  text.assign(characters, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
  return true;
}

bool Statement::read(int column, std::int64_t& number) const {
  if (sqlite3_column_type(handle_, column) != SQLITE_INTEGER) return false;
  number = sqlite3_column_int64(handle_, column);
  return true;
}

bool Statement::read(int column, double& number) const {
  if (sqlite3_column_type(handle_, column) != SQLITE_FLOAT) return false;
  number = sqlite3_column_double(handle_, column);
  return true;
}

Transaction::Transaction(Connection& connection, std::string_view doing) : connection_(connection), doing_(doing) {
  connection_.execute("BEGIN IMMEDIATE", doing_);
}

Transaction::~Transaction() {
  // Some errors have rolled it back already; then this one is refused, which changes nothing.
  if (is_open_) sqlite3_exec(connection_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  connection_.execute("COMMIT", doing_);
  is_open_ = false;
}

}  // namespace flashmask::tune
