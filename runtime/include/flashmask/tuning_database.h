#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/tuning.h"

namespace flashmask {

/// What an import did.
struct TuningImport {
  int records = 0;                       ///< taken
  std::vector<std::string> passed_over;  ///< each record that was not, with its reason
};

/// Every trial and every answer of tuning, in one SQLite file. Each call is one transaction: what has returned survives
/// a kill. Several processes may write at once; none loses what another one wrote. One object belongs to one thread at
/// a time, and not to a forked child. Throws Error{kStorage} where the file cannot be read or written, and
/// kInvalidArgument for a file that is something else, such a file is never changed, and for a number to be saved that
/// is not finite. Rows that this library cannot read, as those for an architecture that it does not know, are passed
/// over. A process that reads the file by an SQLite of its own, as Python's, must not do so while this has it open: two
/// SQLites in one process undo each other's locks.
class FLASHMASK_API TuningDatabase {
 public:
  /// Opens the file and checks all of it, or makes it (0600, folders that are missing 0700). A file that was ours and
  /// is corrupt is renamed, never overwritten: set_aside() tells to what. One of a newer library is refused.
  static TuningDatabase open(const std::string& path);
  /// Opens a file that must be there, else Error{kNotFound}; nothing is written, not even beside it. Corrupt:
  /// Error{kStorage}, at the latest when the damage is read. So is a file that a killed process left half written,
  /// until it is opened for writing.
  static TuningDatabase open_read_only(const std::string& path);
  ~TuningDatabase();
  TuningDatabase(TuningDatabase&& other) noexcept;
  TuningDatabase& operator=(TuningDatabase&& other) noexcept;

  const std::string& path() const;
  /// Where a corrupt file went that lay here, or that this one turned into while it was written; empty: there was none.
  const std::string& set_aside() const;

  /// Keeps a trial in place of the one of the same key and configuration.
  void save(const TuningKey& key, const TuningTrial& trial, const TuningProvenance& provenance);
  void add_round(const TuningKey& key, const TuningRound& round);
  /// Keeps an answer in place of the one of the same key.
  void save(const TuningRecord& record);
  /// Keeps each answer unless the one of the same key is as late or later, by its date; all of it in one transaction.
  TuningImport merge(const std::vector<TuningRecord>& records);

  /// In the order in which they were first saved.
  std::vector<TuningTrial> trials(const TuningKey& key) const;
  std::vector<TuningRound> rounds(const TuningKey& key) const;
  std::optional<TuningRecord> record(const TuningKey& key) const;
  /// Every answer for the descriptor, whatever the device, bucket, method and templates: what a look-up chooses from.
  std::vector<TuningRecord> records_of(const KernelDescriptor& descriptor) const;
  /// Every answer, in one fixed order of keys.
  std::vector<TuningRecord> records() const;
  /// Every key with a trial, a round or an answer, in the same order.
  std::vector<TuningKey> keys() const;

 private:
  struct State;
  explicit TuningDatabase(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Answers as JSON (docs/tuning.md describes it): the same records in any order give the same text.
FLASHMASK_API std::string tuning_json(const std::vector<TuningRecord>& records);
/// The inverse. The text may be hostile: one that is no such file is Error{kInvalidArgument} with its place; records
/// that are malformed, or whose configuration is illegal for their descriptor, are passed over with the reason.
FLASHMASK_API std::vector<TuningRecord> parse_tuning_json(const std::string& text, const std::string& name,
                                                          std::vector<std::string>& passed_over);
/// The answers of a file that policies name: a database, or where its name ends in .json, an export. What of an export
/// is passed over is left out. Throws Error{kStorage or kInvalidArgument}.
FLASHMASK_API std::vector<TuningRecord> read_tuning_answers(const std::string& path);
/// Saves every record of the text that is legal; of two answers for one key, the one with the later date stays, and of
/// two of one date the one that is there. What is there already, the same, counts as taken.
FLASHMASK_API TuningImport import_tuning_json(TuningDatabase& database, const std::string& text,
                                              const std::string& name);

}  // namespace flashmask
