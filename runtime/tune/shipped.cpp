#include "runtime/tune/shipped.h"

#include <string>

#include "flashmask/error.h"
#include "flashmask/tuning_database.h"

namespace flashmask::tune {

const std::vector<TuningRecord>& shipped_records() {
  static const std::vector<TuningRecord> all = [] {
    std::vector<TuningRecord> records;
    for (const ShippedFile& file : shipped_files()) {
      std::vector<std::string> passed_over;
      try {
        for (TuningRecord& record : parse_tuning_json(std::string(file.text), std::string(file.name), passed_over))
          records.push_back(std::move(record));
      } catch (const Error&) {
        // A test reads every file that is shipped; a request must not fail for one.
      }
    }
    return records;
  }();
  return all;
}

}  // namespace flashmask::tune
