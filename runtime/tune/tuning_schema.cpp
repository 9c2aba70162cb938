#include "runtime/tune/tuning_schema.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>

namespace flashmask::tune {
namespace {

// SQLite parses these whenever a file is opened, and a look-up waits for it: they are few and short, what nothing looks
// for is JSON in one column, and a key is found by its name (name_of()), not by twenty conditions. Rows keep their ids
// when they are replaced, which is the order in which they were first saved.
constexpr std::array kTables = {
    "CREATE TABLE keys(id INTEGER PRIMARY KEY,name TEXT UNIQUE,"
    "pass TEXT,dtype TEXT,head_dim_qk INT,head_dim_v INT,mask_form TEXT,causal_alignment TEXT,target TEXT,"
    "deterministic INT,basis TEXT,gpu TEXT,compute_capability INT,multiprocessors INT,l2_bytes INT,"
    "shared_bytes_per_block INT,seqlen_q INT,seqlen_k INT,heads INT,density TEXT,method TEXT,templates TEXT)",

    "CREATE TABLE trials(id INTEGER PRIMARY KEY,key INT REFERENCES keys,config TEXT,outcome TEXT,reason TEXT,"
    "resources TEXT,ctas_per_sm INT,compile_seconds REAL,coarse_seconds REAL,provenance TEXT,UNIQUE(key,config))",

    "CREATE TABLE rounds(id INTEGER PRIMARY KEY,key INT REFERENCES keys,session TEXT,sm_clock_mhz INT,times TEXT)",
    "CREATE INDEX rounds_of_key ON rounds(key)",

    "CREATE TABLE answers(key INTEGER PRIMARY KEY REFERENCES keys,config TEXT,default_config TEXT,seconds REAL,"
    "default_seconds REAL,band REAL,rounds INT,reason TEXT,provenance TEXT)",
};

constexpr std::string_view kChecking = "check the tuning database";

[[noreturn]] void fail_damaged(const Connection& connection, const std::string& words) {
  throw SqliteError(connection.path(), kChecking, SQLITE_CORRUPT, words);
}

}  // namespace

void make_schema(Connection& connection) {
  constexpr std::string_view kDoing = "make the tables of the tuning database";
  Transaction transaction(connection, kDoing);
  Statement count(connection, "SELECT count(*) FROM sqlite_schema", kDoing);
  std::int64_t tables = 0;
  if (count.step() && count.read(0, tables) && tables > 0) return;
  count.reset();
  for (const char* table : kTables) connection.execute(table, kDoing);
  connection.execute(
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", kApplicationId, kSchemaVersion).c_str(), kDoing);
  transaction.commit();
}

void check_content(Connection& connection) {
  for (const char* table : kTables) {
    Statement find(connection, "SELECT 1 FROM sqlite_schema WHERE sql=?", kChecking);
    if (!find.bind(std::string_view(table)).step()) fail_damaged(connection, fmt::format("it lacks: {}", table));
  }
  Statement check(connection, "PRAGMA integrity_check(1)", kChecking);
  std::string verdict;
  if (!check.step() || !check.read(0, verdict)) fail_damaged(connection, "integrity_check says nothing");
  if (verdict != "ok") fail_damaged(connection, verdict);
}

}  // namespace flashmask::tune
