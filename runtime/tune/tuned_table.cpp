#include "runtime/tune/tuned_table.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "runtime/tune/shipped.h"
#include "runtime/tune/tuning_identity.h"

namespace flashmask::tune {
namespace {

bool is_json(const std::string& path) {
  return path.ends_with(".json");
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

std::optional<TunedChoice> TunedTable::find(const DeviceProperties& device, const KernelDescriptor& descriptor,
                                            const ProblemHint& hint, std::vector<std::string>* passed_over) {
  if (!is_active()) return std::nullopt;
  const TuningKey key = tuning_key(device, descriptor, bucket_of(hint));
  std::vector<std::string> ignored;
  std::vector<std::string>& reasons = passed_over ? *passed_over : ignored;
  std::lock_guard lock(mutex_);
  open_once();
  if (database_) {
    try {
      // The usual case, and one short query.
      if (const auto exact = database_->record(key))
        if (auto choice = choose_tuned(std::span(&*exact, 1), key, reasons)) return choice;
      if (auto choice = choose_tuned(database_->records_of(descriptor), key, reasons)) return choice;
    } catch (const Error& error) {
      logger_.warning(fmt::format("nothing more is looked up in {}: {}", path_, error.what()));
      database_.reset();
    }
  }
  const auto choose_among = [&](const std::vector<TuningRecord>& all) {
    std::vector<TuningRecord> of_descriptor;
    for (const TuningRecord& record : all)
      if (record.key.descriptor == descriptor) of_descriptor.push_back(record);
    return choose_tuned(of_descriptor, key, reasons);
  };
  if (auto choice = choose_among(exported_)) return choice;
  return has_shipped_ ? choose_among(shipped_records()) : std::nullopt;
}

}  // namespace flashmask::tune
