#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/tuning.h"

namespace flashmask::tuning_report {

/// How two answers for one key agree.
enum class Agreement {
  kSameWinner,
  kWithinBand,  ///< other winners, and their speed-ups over the default lie within the wider of the two noise bands
  kBeyondBand,
  kOnlyInA,
  kOnlyInB,
};
inline constexpr std::size_t kAgreements = 5;
/// "same winner", "within the band", "beyond the band", "only in A" or "only in B".
std::string_view to_string(Agreement agreement);

/// One key. At least one of the two is there.
struct DiffEntry {
  Agreement agreement = Agreement::kSameWinner;
  std::optional<TuningRecord> a;
  std::optional<TuningRecord> b;

  const TuningKey& key() const { return a ? a->key : b->key; }
};

/// Two sets of answers, side by side.
struct TuningDiff {
  std::string name_a;
  std::string name_b;
  std::vector<DiffEntry> entries;  ///< in the order of A, then what is only in B

  std::size_t count(Agreement agreement) const;
  std::size_t in_both() const;
  /// Share of the keys in both whose winner is the same or differs within the band; empty where none is in both.
  std::optional<double> agreement() const;
};

/// Compares answers key by key; provenance does not count. Of several for one key in one set, the latest by its date
/// stays. Pure.
TuningDiff diff_records(std::string name_a, const std::vector<TuningRecord>& a, std::string name_b,
                        const std::vector<TuningRecord>& b);

/// How far the two answers of a key lie apart, relatively: their speed-ups over the default, or where the defaults
/// themselves differ, their times. Empty where one of the times is none.
std::optional<double> distance_of(const TuningRecord& a, const TuningRecord& b);

}  // namespace flashmask::tuning_report
