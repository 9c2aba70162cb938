#include "flashmask/tuning_database.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/tune/database_file.h"
#include "runtime/tune/tuning_order.h"
#include "runtime/tune/tuning_rows.h"

namespace flashmask {
namespace {

using tune::Connection;
using tune::RowReader;
using tune::Statement;

/// The row of a key; a new one where there is none.
std::int64_t require_key(const Connection& connection, const TuningKey& key, std::string_view doing) {
  const std::string name = tune::name_of(key);
  std::int64_t id = 0;
  Statement find(connection, "SELECT id FROM keys WHERE name=?", doing);
  if (find.bind(name).step() && find.read(0, id)) return id;
  Statement add(connection,
                fmt::format("INSERT INTO keys(name,{}) VALUES(?,{}) RETURNING id", tune::kKeyColumns,
                            tune::places_of(tune::kKeyColumns)),
                doing);
  bind(add.bind(name), key);
  if (!add.step() || !add.read(0, id)) throw Error(ErrorCode::kInternal, "SQLite gives a new row no number");
  add.run();
  return id;
}

std::optional<TuningRecord> find_record(const Connection& connection, const TuningKey& key, std::string_view doing) {
  Statement find(
      connection,
      fmt::format("SELECT {} FROM answers WHERE key=(SELECT id FROM keys WHERE name=?)", tune::kAnswerColumns), doing);
  if (!find.bind(tune::name_of(key)).step()) return std::nullopt;
  RowReader row(find);
  TuningRecord record;
  record.key = key;
  read(row, record);
  if (!row.is_sound()) return std::nullopt;
  return record;
}

void keep_record(const Connection& connection, const TuningRecord& record, std::string_view doing) {
  Statement keep(
      connection,
      fmt::format("INSERT INTO answers(key,{}) VALUES(?,{}) ON CONFLICT DO UPDATE SET {}", tune::kAnswerColumns,
                  tune::places_of(tune::kAnswerColumns), tune::replacement_of(tune::kAnswerColumns)),
      doing);
  bind(keep.bind(require_key(connection, record.key, doing)), record);
  keep.run();
}

/// The answers that a statement gives, each with its key in front.
std::vector<TuningRecord> all_records(Statement& find) {
  std::vector<TuningRecord> records;
  while (find.step()) {
    RowReader row(find);
    TuningRecord record;
    read(row, record.key);
    read(row, record);
    if (row.is_sound()) records.push_back(std::move(record));
  }
  std::sort(records.begin(), records.end(),
            [](const TuningRecord& a, const TuningRecord& b) { return tune::precedes(a.key, b.key); });
  return records;
}

/// What answers are read by; no column of one table has a name of the other's. CROSS: the keys first, which have the
/// names.
std::string select_records() {
  return fmt::format("SELECT {},{} FROM keys CROSS JOIN answers ON key=id", tune::kKeyColumns, tune::kAnswerColumns);
}

}  // namespace

struct TuningDatabase::State {
  std::string path;
  std::string file;  ///< the path without links
  std::string set_aside;
  std::optional<Connection> connection;

  /// Does the work in one transaction; once more in a new file where this one turns out to be damaged or to have
  /// another's name by now: what another process has set aside would never be read again.
  template <typename Work>
  void write(std::string_view doing, Work work) {
    for (bool is_second = false;; is_second = true) {
      try {
        if (!connection) connection.emplace(tune::open_for_writing(file, set_aside));
        tune::Transaction transaction(*connection, doing);
        work(*connection);
        return transaction.commit();
      } catch (const tune::SqliteError& error) {
        if (is_second || !connection || !(error.is_damage() || error.is_moved())) throw;
        if (error.is_damage())
          if (const std::string name = tune::set_file_aside(*connection); !name.empty()) set_aside = name;
        connection.reset();
      }
    }
  }
};

TuningDatabase::TuningDatabase(std::unique_ptr<State> state) : state_(std::move(state)) {}
TuningDatabase::~TuningDatabase() = default;
TuningDatabase::TuningDatabase(TuningDatabase&& other) noexcept = default;
TuningDatabase& TuningDatabase::operator=(TuningDatabase&& other) noexcept = default;

TuningDatabase TuningDatabase::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->connection.emplace(tune::open_for_writing(path, state->set_aside));
  state->file = state->connection->path();
  return TuningDatabase(std::move(state));
}

TuningDatabase TuningDatabase::open_read_only(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->connection.emplace(tune::open_for_reading(path));
  return TuningDatabase(std::move(state));
}

const std::string& TuningDatabase::path() const {
  return state_->path;
}

const std::string& TuningDatabase::set_aside() const {
  return state_->set_aside;
}

void TuningDatabase::save(const TuningKey& key, const TuningTrial& trial, const TuningProvenance& provenance) {
  constexpr std::string_view kDoing = "save a trial";
  state_->write(kDoing, [&](Connection& connection) {
    Statement keep(connection,
                   fmt::format("INSERT INTO trials(key,{}) VALUES(?,{}) ON CONFLICT(key,config) DO UPDATE SET {}",
                               tune::kTrialColumns, tune::places_of(tune::kTrialColumns),
                               tune::replacement_of(tune::kTrialColumns)),
                   kDoing);
    bind(keep.bind(require_key(connection, key, kDoing)), trial, provenance);
    keep.run();
  });
}

void TuningDatabase::add_round(const TuningKey& key, const TuningRound& round) {
  constexpr std::string_view kDoing = "add a round";
  state_->write(kDoing, [&](Connection& connection) {
    Statement add(connection,
                  fmt::format("INSERT INTO rounds(key,{}) VALUES(?,{})", tune::kRoundColumns,
                              tune::places_of(tune::kRoundColumns)),
                  kDoing);
    bind(add.bind(require_key(connection, key, kDoing)), round);
    add.run();
  });
}

void TuningDatabase::save(const TuningRecord& record) {
  constexpr std::string_view kDoing = "save an answer";
  state_->write(kDoing, [&](Connection& connection) { keep_record(connection, record, kDoing); });
}

TuningImport TuningDatabase::merge(const std::vector<TuningRecord>& records) {
  constexpr std::string_view kDoing = "merge answers";
  TuningImport result;
  state_->write(kDoing, [&](Connection& connection) {
    result = {};
    for (const TuningRecord& record : records) {
      const std::optional<TuningRecord> there = find_record(connection, record.key, kDoing);
      if (there && !(*there == record) && record.provenance.date <= there->provenance.date) {
        result.passed_over.push_back(fmt::format(
            "{}, {}, {}: of {}; the answer that is there is of {}", to_string(record.key.descriptor),
            record.key.gpu.name, to_string(record.key.bucket), record.provenance.date, there->provenance.date));
        continue;
      }
      if (!there || !(*there == record)) keep_record(connection, record, kDoing);
      ++result.records;
    }
  });
  return result;
}

std::vector<TuningTrial> TuningDatabase::trials(const TuningKey& key) const {
  Statement find(*state_->connection,
                 fmt::format("SELECT {} FROM trials WHERE key=(SELECT id FROM keys WHERE name=?) ORDER BY id",
                             tune::kTrialColumns),
                 "read the trials");
  find.bind(tune::name_of(key));
  std::vector<TuningTrial> trials;
  while (find.step()) {
    RowReader row(find);
    TuningTrial trial;
    TuningProvenance provenance;
    read(row, trial, provenance);
    if (row.is_sound()) trials.push_back(std::move(trial));
  }
  return trials;
}

std::vector<TuningRound> TuningDatabase::rounds(const TuningKey& key) const {
  Statement find(*state_->connection,
                 fmt::format("SELECT {} FROM rounds WHERE key=(SELECT id FROM keys WHERE name=?) ORDER BY id",
                             tune::kRoundColumns),
                 "read the rounds");
  find.bind(tune::name_of(key));
  std::vector<TuningRound> rounds;
  while (find.step()) {
    RowReader row(find);
    TuningRound round;
    read(row, round);
    if (row.is_sound()) rounds.push_back(std::move(round));
  }
  return rounds;
}

std::optional<TuningRecord> TuningDatabase::record(const TuningKey& key) const {
  return find_record(*state_->connection, key, "read an answer");
}

std::vector<TuningRecord> TuningDatabase::records_of(const KernelDescriptor& descriptor) const {
  Statement find(*state_->connection, select_records() + " WHERE name>=? AND name<?", "read the answers");
  const std::string start = tune::name_start_of(descriptor);
  std::string end = start;
  ++end.back();
  find.bind(start).bind(end);
  return all_records(find);
}

std::vector<TuningRecord> TuningDatabase::records() const {
  Statement find(*state_->connection, select_records(), "read the answers");
  return all_records(find);
}

std::vector<TuningKey> TuningDatabase::keys() const {
  Statement find(*state_->connection, fmt::format("SELECT {} FROM keys", tune::kKeyColumns), "read the keys");
  std::vector<TuningKey> keys;
  while (find.step()) {
    RowReader row(find);
    TuningKey key;
    read(row, key);
    if (row.is_sound()) keys.push_back(std::move(key));
  }
  std::sort(keys.begin(), keys.end(), tune::precedes);
  return keys;
}

}  // namespace flashmask
