#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "flashmask/error.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace flashmask::tune {

/// What SQLite refused, as Error{kStorage}: the file, what was being done, SQLite's words, and what to do.
class SqliteError : public Error {
 public:
  SqliteError(const std::string& path, std::string_view doing, int code, const std::string& words);

  /// The file's content contradicts itself, or is no database any more.
  bool is_damage() const;
  /// Another file has the name now, or none has.
  bool is_moved() const;

 private:
  int code_;  ///< extended
};

/// One open database. It belongs to one thread at a time, and never to a forked child.
class Connection {
 public:
  enum class Access { kRead, kWrite };

  /// Opens a file that is there. The path is absolute: SQLite gives a meaning of its own to ":memory:" and "file:…".
  /// `patience`: how long a call waits for other processes.
  Connection(std::string path, Access access, std::chrono::milliseconds patience);
  /// A database in memory.
  static Connection in_memory();
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;

  const std::string& path() const { return path_; }
  sqlite3* handle() const { return handle_; }
  /// The file below, by SQLite's own descriptor: with another one, closing it would end SQLite's locks.
  sqlite3_file* file() const;
  /// Whether it was opened for reading alone because the file allows no more.
  bool is_read_only() const;

  /// Runs statements that give no rows, or none that matter.
  void execute(const char* sql, std::string_view doing);
  [[noreturn]] void fail(std::string_view doing, int code) const;

 private:
  Connection() = default;
  void close() noexcept;

  std::string path_;
  sqlite3* handle_ = nullptr;
};

/// One statement, for as long as its connection is open. Parameters are bound from the first to the last.
class Statement {
 public:
  /// `doing` is for errors, "read an answer"; it must outlive the statement, as must the connection.
  Statement(const Connection& connection, std::string_view sql, std::string_view doing);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::string_view text);
  Statement& bind(std::int64_t number);
  Statement& bind(double number);

  /// Goes on to the next row; false: there is none.
  bool step();
  /// To its end, of a statement without rows.
  void run();
  /// Makes it ready to be bound and run again.
  void reset();

  // Columns of the row, from 0. False, and the value untouched, where another type is stored: SQLite stores anything
  // anywhere.
  bool read(int column, std::string& text) const;
  bool read(int column, std::int64_t& number) const;
  bool read(int column, double& number) const;

 private:
  void check(int code) const;

  const Connection& connection_;
  std::string_view doing_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
};

/// Everything between construction and commit() happens, or nothing of it. It waits for other writers at the start, so
/// that it never has to give up in the middle.
class Transaction {
 public:
  Transaction(Connection& connection, std::string_view doing);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection& connection_;
  std::string_view doing_;
  bool is_open_ = true;
};

}  // namespace flashmask::tune
