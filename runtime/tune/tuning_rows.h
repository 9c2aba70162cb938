#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flashmask/tuning.h"
#include "runtime/tune/sqlite.h"

namespace flashmask::tune {

/// The columns of a row from left to right. A value of the wrong type, or that this library does not know, makes the
/// whole row unsound: it is passed over, as no part of it can be trusted.
class RowReader {
 public:
  explicit RowReader(const Statement& row) : row_(row) {}

  bool is_sound() const { return is_sound_; }

  void read(std::string& text) { note(row_.read(column_++, text)); }
  void read(std::int64_t& number) { note(row_.read(column_++, number)); }
  void read(double& number) { note(row_.read(column_++, number)); }
  void read(std::uint64_t& number);
  void read(int& number);
  void read(bool& flag);
  void read(TileConfig& config);
  void read(KernelResources& resources);
  void read(TuningProvenance& provenance);
  void read(std::vector<std::pair<TileConfig, double>>& times);
  /// A value by its name.
  template <typename Value, typename Parse>
  void read(Value& value, Parse parse) {
    std::string text;
    read(text);
    const std::optional<Value> known = parse(text);
    note(known.has_value());
    if (known) value = *known;
  }

 private:
  void note(bool is_sound) { is_sound_ = is_sound_ && is_sound; }

  const Statement& row_;
  int column_ = 0;
  bool is_sound_ = true;
};

// The parts of a row. Each is a list of columns, in the order in which it is bound and read.

extern const std::string_view kKeyColumns;  ///< without the name
extern const std::string_view kTrialColumns;
extern const std::string_view kRoundColumns;
extern const std::string_view kAnswerColumns;

/// The text by which a key is found: another one for every other key.
std::string name_of(const TuningKey& key);
/// What the names of all keys of a descriptor begin with: "…\n", and no other name lies between it and "…\v".
std::string name_start_of(const KernelDescriptor& descriptor);

/// "?,?" of "a,b".
std::string places_of(std::string_view columns);
/// "a=excluded.a,b=excluded.b" of "a,b".
std::string replacement_of(std::string_view columns);

// Error{kInvalidArgument} with its name for a number that is not finite: SQLite has no NaN, it would come back as
// nothing, and JSON has no infinity.

void bind(Statement& statement, const TuningKey& key);
void bind(Statement& statement, const TuningTrial& trial, const TuningProvenance& provenance);
void bind(Statement& statement, const TuningRound& round);
/// All but the key.
void bind(Statement& statement, const TuningRecord& record);

void read(RowReader& row, TuningKey& key);
void read(RowReader& row, TuningTrial& trial, TuningProvenance& provenance);
void read(RowReader& row, TuningRound& round);
/// All but the key.
void read(RowReader& row, TuningRecord& record);

}  // namespace flashmask::tune
