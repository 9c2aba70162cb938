#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashmask/explanation.h"
#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "runtime/logger.h"

namespace flashmask::tune {

/// A configuration that tuning chose, for a request.
struct TunedChoice {
  TileConfig config;
  ConfigSource source = ConfigSource::kTuned;
  std::string reason;  ///< whose answer it is, and how much it gained there
};

/// The best of the records for a key: in its bucket, else in the nearest one on the same GPU, else on the GPU of the
/// same capability with the nearest number of multiprocessors. All records are of the key's descriptor. What cannot
/// answer (modelled for measured or the reverse, of another method, of other templates, or with a configuration that is
/// illegal) is passed over, with the reason. Pure; the same records in any order give the same choice.
std::optional<TunedChoice> choose_tuned(std::span<const TuningRecord> records, const TuningKey& key,
                                        std::vector<std::string>& passed_over);

/// How far apart two buckets are: octaves of lengths count 2, of heads 1, a density class 3; what is unknown, nothing.
int bucket_distance(const TuningBucket& a, const TuningBucket& b);

/// The configurations of those records that this library would still take on their GPU, in the order of their words,
/// none twice. All records are of one descriptor. Pure.
std::vector<TileConfig> current_configs(std::span<const TuningRecord> records);

/// What a policy's tuning file and the library's own answers say. The file is opened once, and only read; one that
/// cannot be used is one warning. Thread-safe.
class TunedTable {
 public:
  TunedTable(const Policy& policy, Logger& logger);
  ~TunedTable();
  TunedTable(const TunedTable&) = delete;
  TunedTable& operator=(const TunedTable&) = delete;

  /// Whether a look-up can find anything at all: otherwise buckets make no difference.
  bool is_active() const { return !path_.empty() || has_shipped_; }
  /// Opens the file if it is there, so that no look-up has to.
  void open();
  /// Nothing: no answer, the default is to be taken.
  std::optional<TunedChoice> find(const DeviceProperties& device, const KernelDescriptor& descriptor,
                                  const ProblemHint& hint, std::vector<std::string>* passed_over = nullptr);
  /// current_configs() of every answer for the descriptor.
  std::vector<TileConfig> configs_of(const KernelDescriptor& descriptor);

 private:
  // Under the mutex:
  void open_once();
  /// Runs a look-up in the database; one that fails is a warning, and the database is given up.
  template <typename Look>
  void look_in_database(Look&& look);

  std::string path_;
  bool is_optional_;
  bool has_shipped_;
  Logger& logger_;
  std::mutex mutex_;
  bool opened_ = false;
  std::optional<TuningDatabase> database_;
  std::vector<TuningRecord> exported_;  ///< of a JSON file
};

}  // namespace flashmask::tune
