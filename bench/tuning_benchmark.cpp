// What looking up the answer of tuning costs, among 10,000 answers in a database: when a runtime is made, in its first
// request, and afterwards, when it is part of the hot path.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "flashmask/runtime.h"
#include "flashmask/tuning_database.h"
#include "runtime/logger.h"
#include "runtime/tune/tuned_table.h"
#include "runtime/tune/tuning_identity.h"

namespace flashmask {
namespace {

constexpr int kAnswers = 10'000;
constexpr Target kTarget{80, false};
constexpr ProblemHint kHint{.seqlen_q = 8192, .seqlen_k = 8192, .heads = 16, .density = 0.2};

KernelDescriptor descriptor_of(int head_dim, MaskForm form) {
  return {Pass::kForward, DataType::kBfloat16, head_dim, head_dim, form, CausalAlignment::kBottomRight, kTarget};
}

/// A folder with a database of so many answers, for the life of the program.
class Answers {
 public:
  Answers() : device_(open_emulated_device({.target = kTarget})) {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashmask-tuning-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp " + pattern);
    folder_ = pattern;
    std::vector<TuningRecord> records;
    for (int head_dim = 8; head_dim <= 256 && std::ssize(records) < kAnswers; head_dim += 8)
      for (const MaskForm form : {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4})
        add_buckets(descriptor_of(head_dim, form), records);
    records.resize(std::min<std::size_t>(records.size(), kAnswers));
    TuningDatabase database = TuningDatabase::open(path());
    import_tuning_json(database, tuning_json(records), "answers");
  }
  ~Answers() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string path() const { return (folder_ / "tuning.db").string(); }
  const std::shared_ptr<Device>& device() const { return device_; }
  Policy policy() const {
    Policy policy = Policy::from_environment();
    policy.tuning_path = path();
    policy.shipped_tuning = false;
    return policy;
  }

 private:
  void add_buckets(const KernelDescriptor& descriptor, std::vector<TuningRecord>& records) const {
    constexpr int kLeast = 256, kMost = 1 << 16;
    TuningRecord record;
    record.key = tune::tuning_key(device_->properties(), descriptor, {});
    record.config = record.default_config = default_tile_config(descriptor);
    record.seconds = record.default_seconds = 1e-3;
    record.provenance.date = "2026-01-01T00:00:00Z";
    for (int seqlen = kLeast; seqlen <= kMost; seqlen *= 2)
      for (const int heads : {8, 16, 32})
        for (const DensityClass density : {DensityClass::kSparse, DensityClass::kLight, DensityClass::kMedium}) {
          record.key.bucket = {seqlen, seqlen, heads, density};
          records.push_back(record);
        }
  }

  std::shared_ptr<Device> device_;
  std::filesystem::path folder_;
};

Answers& answers() {
  static Answers all;
  return all;
}

/// What making a runtime takes longer for: the file opened, its schema read.
void opening(benchmark::State& state) {
  const Policy policy = answers().policy();
  Logger logger(policy);
  for (auto _ : state) {
    tune::TunedTable table(policy, logger);
    table.open();
  }
}
BENCHMARK(opening)->Unit(benchmark::kMicrosecond);

/// The first one of a runtime that was just made.
void look_up_first(benchmark::State& state, const ProblemHint& hint) {
  const Policy policy = answers().policy();
  const DeviceProperties device = answers().device()->properties();
  const KernelDescriptor descriptor = descriptor_of(128, MaskForm::kC1);
  Logger logger(policy);
  for (auto _ : state) {
    state.PauseTiming();
    std::optional<tune::TunedTable> table(std::in_place, policy, logger);
    table->open();
    state.ResumeTiming();
    const auto choice = table->find(device, descriptor, hint);
    state.PauseTiming();
    if (!choice) state.SkipWithError("no answer was found");
    table.reset();
    state.ResumeTiming();
  }
}

void first_look_up_of_its_bucket(benchmark::State& state) {
  look_up_first(state, kHint);
}
BENCHMARK(first_look_up_of_its_bucket)->Unit(benchmark::kMicrosecond);

void first_look_up_of_the_nearest_bucket(benchmark::State& state) {
  look_up_first(state, {.seqlen_q = 100, .seqlen_k = 100, .heads = 100, .density = 0.9});
}
BENCHMARK(first_look_up_of_the_nearest_bucket)->Unit(benchmark::kMicrosecond);

void memoised_look_up(benchmark::State& state) {
  Runtime runtime(answers().device(), answers().policy());
  const KernelDescriptor descriptor = descriptor_of(128, MaskForm::kC1);
  const RequestOptions options{.hint = kHint, .config = {}};
  runtime.request(descriptor, options);
  for (auto _ : state) benchmark::DoNotOptimize(runtime.request(descriptor, options));
}
BENCHMARK(memoised_look_up)->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace flashmask
