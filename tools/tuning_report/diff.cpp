#include "tools/tuning_report/diff.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/tuning_report/ranking.h"

namespace flashmask::tuning_report {
namespace {

std::vector<const TuningRecord*> latest_of_each_key(const std::vector<TuningRecord>& records) {
  std::vector<const TuningRecord*> latest;
  for (const TuningRecord& record : records) {
    const auto found = std::ranges::find(latest, record.key, [](const TuningRecord* each) { return each->key; });
    if (found == latest.end())
      latest.push_back(&record);
    else if (record.provenance.date > (*found)->provenance.date)
      *found = &record;
  }
  return latest;
}

Agreement agreement_of(const TuningRecord& a, const TuningRecord& b) {
  if (a.config == b.config) return Agreement::kSameWinner;
  const auto distance = distance_of(a, b);
  return distance && *distance <= std::max(a.band, b.band) ? Agreement::kWithinBand : Agreement::kBeyondBand;
}

}  // namespace

std::string_view to_string(Agreement agreement) {
  switch (agreement) {
    case Agreement::kSameWinner:
      return "same winner";
    case Agreement::kWithinBand:
      return "within the band";
    case Agreement::kBeyondBand:
      return "beyond the band";
    case Agreement::kOnlyInA:
      return "only in A";
    case Agreement::kOnlyInB:
      return "only in B";
  }
  return "";
}

std::size_t TuningDiff::count(Agreement agreement) const {
  return static_cast<std::size_t>(std::ranges::count(entries, agreement, &DiffEntry::agreement));
}

std::size_t TuningDiff::in_both() const {
  return entries.size() - count(Agreement::kOnlyInA) - count(Agreement::kOnlyInB);
}

std::optional<double> TuningDiff::agreement() const {
  if (in_both() == 0) return std::nullopt;
  return static_cast<double>(in_both() - count(Agreement::kBeyondBand)) / static_cast<double>(in_both());
}

std::optional<double> distance_of(const TuningRecord& a, const TuningRecord& b) {
  const auto speedup_a = speedup_of(a), speedup_b = speedup_of(b);
  if (!speedup_a || !speedup_b) return std::nullopt;
  // Speed-ups over different defaults say nothing of each other.
  const bool has_one_default = a.default_config == b.default_config;
  const double of_a = has_one_default ? *speedup_a : a.seconds, of_b = has_one_default ? *speedup_b : b.seconds;
  return std::max(of_a, of_b) / std::min(of_a, of_b) - 1;
}

TuningDiff diff_records(std::string name_a, const std::vector<TuningRecord>& a, std::string name_b,
                        const std::vector<TuningRecord>& b) {
  TuningDiff diff{std::move(name_a), std::move(name_b), {}};
  std::vector<const TuningRecord*> left_of_b = latest_of_each_key(b);
  for (const TuningRecord* record : latest_of_each_key(a)) {
    const auto found =
        std::ranges::find_if(left_of_b, [&](const TuningRecord* other) { return other->key == record->key; });
    if (found == left_of_b.end()) {
      diff.entries.push_back({Agreement::kOnlyInA, *record, std::nullopt});
    } else {
      diff.entries.push_back({agreement_of(*record, **found), *record, **found});
      left_of_b.erase(found);
    }
  }
  for (const TuningRecord* record : left_of_b) diff.entries.push_back({Agreement::kOnlyInB, std::nullopt, *record});
  return diff;
}

}  // namespace flashmask::tuning_report
