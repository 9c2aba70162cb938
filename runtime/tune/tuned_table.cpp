#include "runtime/tune/tuned_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "runtime/tune/shipped.h"
#include "runtime/tune/tuning_identity.h"

namespace flashmask::tune {
namespace {

bool is_json(const std::string& path) {
  return path.ends_with(".json");
}

std::vector<TuningRecord> records_among(const std::vector<TuningRecord>& all, const KernelDescriptor& descriptor) {
  std::vector<TuningRecord> found;
  std::ranges::copy_if(all, std::back_inserter(found),
                       [&](const TuningRecord& record) { return record.key.descriptor == descriptor; });
  return found;
}

}  // namespace

TunedTable::TunedTable(const Policy& policy, Logger& logger)
    : path_(policy.tuning_path),
      is_optional_(policy.tuning_is_optional),
      has_shipped_(policy.shipped_tuning && !shipped_files().empty()),
      logger_(logger) {}

TunedTable::~TunedTable() = default;

void TunedTable::open_once() {
  if (std::exchange(opened_, true) || path_.empty()) return;
  try {
    std::error_code ignored;
    if (!std::filesystem::exists(path_, ignored)) {
      if (!is_optional_) logger_.warning(fmt::format("{} is not there: nothing is looked up in it", path_));
      return;
    }
    if (!is_json(path_)) {
      database_.emplace(TuningDatabase::open_read_only(path_));
      return;
    }
    exported_ = read_tuning_answers(path_);
  } catch (const Error& error) {
    logger_.warning(fmt::format("nothing is looked up in {}: {}", path_, error.what()));
  }
}

void TunedTable::open() {
  // A file that somebody is about to make is left to the first look-up.
  std::error_code failure;
  if (path_.empty() || std::filesystem::file_size(path_, failure) == 0 || failure) return;
  std::lock_guard lock(mutex_);
  open_once();
}

template <typename Look>
void TunedTable::look_in_database(Look&& look) {
  open_once();
  if (!database_) return;
  try {
    look(*database_);
  } catch (const Error& error) {
    logger_.warning(fmt::format("nothing more is looked up in {}: {}", path_, error.what()));
    database_.reset();
  }
}

std::optional<TunedChoice> TunedTable::find(const DeviceProperties& device, const KernelDescriptor& descriptor,
                                            const ProblemHint& hint, std::vector<std::string>* passed_over) {
  if (!is_active()) return std::nullopt;
  const TuningKey key = tuning_key(device, descriptor, bucket_of(hint));
  std::vector<std::string> ignored;
  std::vector<std::string>& reasons = passed_over ? *passed_over : ignored;
  std::lock_guard lock(mutex_);
  std::optional<TunedChoice> choice;
  look_in_database([&](const TuningDatabase& database) {
    // The usual case, and one short query.
    if (const auto exact = database.record(key)) choice = choose_tuned(std::span(&*exact, 1), key, reasons);
    if (!choice) choice = choose_tuned(database.records_of(descriptor), key, reasons);
  });
  if (!choice) choice = choose_tuned(records_among(exported_, descriptor), key, reasons);
  if (!choice && has_shipped_) choice = choose_tuned(records_among(shipped_records(), descriptor), key, reasons);
  return choice;
}

std::vector<TileConfig> TunedTable::configs_of(const KernelDescriptor& descriptor) {
  if (!is_active()) return {};
  std::lock_guard lock(mutex_);
  std::vector<TuningRecord> records;
  look_in_database([&](const TuningDatabase& database) { records = database.records_of(descriptor); });
  const auto add = [&](const std::vector<TuningRecord>& all) {
    std::ranges::move(records_among(all, descriptor), std::back_inserter(records));
  };
  add(exported_);
  if (has_shipped_) add(shipped_records());
  return current_configs(records);
}

}  // namespace flashmask::tune
