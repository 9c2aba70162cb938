#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <string_view>
#include <tuple>

#include "runtime/tune/tuned_table.h"
#include "runtime/tune/tuning_identity.h"

namespace flashmask::tune {
namespace {

int octaves_apart(int a, int b) {
  if (a <= 0 || b <= 0) return 0;
  const auto octave = [](int value) { return static_cast<int>(std::bit_width(static_cast<unsigned>(value))); };
  return std::abs(octave(a) - octave(b));
}

int classes_apart(DensityClass a, DensityClass b) {
  if (a == DensityClass::kUnknown || b == DensityClass::kUnknown) return 0;
  return std::abs(static_cast<int>(a) - static_cast<int>(b));
}

/// Why this library no longer takes the record's answer on any device; empty if it does.
std::string staleness(const TuningRecord& record, std::string_view method, std::string_view templates) {
  if (record.key.method != method)
    return fmt::format("it was found by \"{}\", this library measures by \"{}\"", record.key.method, method);
  if (record.key.templates != templates) return "the kernels' templates have changed since";
  if (const auto rules = broken_rules(record.key.descriptor, record.config); !rules.empty())
    return fmt::format("its configuration {} is illegal: {}", to_string(record.config), rules.front());
  return {};
}

/// Why the record cannot answer for the key; empty if it can.
std::string refusal(const TuningRecord& record, const TuningKey& key) {
  if (record.key.basis != key.basis)
    return fmt::format("it is {}, and this device takes what is {}", to_string(record.key.basis), to_string(key.basis));
  if (record.key.gpu.compute_capability != key.gpu.compute_capability)
    return fmt::format("it is of compute capability {}, this device has {}", record.key.gpu.compute_capability,
                       key.gpu.compute_capability);
  return staleness(record, key.method, key.templates);
}

std::string describe(const TuningRecord& record) {
  return fmt::format("the answer for {} on {} of {}", to_string(record.key.bucket), record.key.gpu.name,
                     record.provenance.date);
}

/// What tells records apart beyond their distance, so that their order does not matter: the newest first.
auto rank(const TuningRecord& record, const TuningKey& key) {
  const bool is_same_gpu = record.key.gpu == key.gpu;
  const int multiprocessors = is_same_gpu ? 0 : std::abs(record.key.gpu.multiprocessors - key.gpu.multiprocessors) + 1;
  return std::tuple(multiprocessors, is_same_gpu ? std::string() : record.key.gpu.name,
                    bucket_distance(record.key.bucket, key.bucket));
}

bool is_better(const TuningRecord& a, const TuningRecord& b, const TuningKey& key) {
  const auto rank_a = rank(a, key);
  const auto rank_b = rank(b, key);
  if (rank_a != rank_b) return rank_a < rank_b;
  // Where a hint leaves it open, the larger problem: there is more to lose.
  if (a.key.bucket != b.key.bucket) return a.key.bucket > b.key.bucket;
  return std::tuple(a.provenance.date, to_word(a.config)) > std::tuple(b.provenance.date, to_word(b.config));
}

TunedChoice choice_of(const TuningRecord& record, const TuningKey& key) {
  TunedChoice choice{.config = record.config, .source = ConfigSource::kTuned, .reason = {}};
  if (!(record.key.gpu == key.gpu))
    choice.source = ConfigSource::kNearestGpu;
  else if (record.key.bucket != key.bucket)
    choice.source = ConfigSource::kNearestBucket;
  const double gain = record.seconds > 0 ? record.default_seconds / record.seconds : 1;
  choice.reason = fmt::format("{}: {} {:.2f} times as fast as {}{}", describe(record), to_string(record.config), gain,
                              to_string(record.default_config),
                              record.key.basis == TuningBasis::kModelled ? " by the cost model" : "");
  return choice;
}

}  // namespace

int bucket_distance(const TuningBucket& a, const TuningBucket& b) {
  constexpr int kLength = 2;
  constexpr int kHeads = 1;
  constexpr int kDensity = 3;
  return kLength * (octaves_apart(a.seqlen_q, b.seqlen_q) + octaves_apart(a.seqlen_k, b.seqlen_k)) +
         kHeads * octaves_apart(a.heads, b.heads) + kDensity * classes_apart(a.density, b.density);
}

std::vector<TileConfig> current_configs(std::span<const TuningRecord> records) {
  if (records.empty()) return {};
  const std::string templates = template_digest(records.front().key.descriptor);
  std::map<std::string, TileConfig> by_words;
  for (const TuningRecord& record : records)
    if (staleness(record, method_of(record.key.basis), templates).empty())
      by_words.emplace(to_word(record.config), record.config);
  std::vector<TileConfig> configs;
  for (const auto& [words, config] : by_words) configs.push_back(config);
  return configs;
}

std::optional<TunedChoice> choose_tuned(std::span<const TuningRecord> records, const TuningKey& key,
                                        std::vector<std::string>& passed_over) {
  const TuningRecord* best = nullptr;
  for (const TuningRecord& record : records) {
    if (const std::string why = refusal(record, key); !why.empty()) {
      passed_over.push_back(fmt::format("{}: {}", describe(record), why));
      continue;
    }
    if (!best || is_better(record, *best, key)) best = &record;
  }
  if (!best) return std::nullopt;
  return choice_of(*best, key);
}

}  // namespace flashmask::tune
