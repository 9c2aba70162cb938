#include "runtime/tune/effort.h"

#include <algorithm>

namespace flashmask {

namespace tune {

EffortPlan plan_of(TuningEffort effort) {
  constexpr double kBand = 0.02;
  constexpr std::size_t kAll = ~std::size_t{0};
  switch (effort) {
    case TuningEffort::kQuick:
      return {12, 4, 1.15, 3, 3, {.band = kBand, .least_rounds = 5, .most_rounds = 11}};
    case TuningEffort::kNormal:
      return {40, 8, 1.25, 3, 3, {.band = kBand, .least_rounds = 7, .most_rounds = 25}};
    case TuningEffort::kFull:
      break;
  }
  return {kAll, 12, 1.35, 5, 5, {.band = kBand, .least_rounds = 9, .most_rounds = 41}};
}

}  // namespace tune

std::vector<SpaceMember> members_for(const TileSpace& space, TuningEffort effort) {
  const std::size_t count = std::min(space.members.size(), tune::plan_of(effort).most_members);
  return {space.members.begin(), space.members.begin() + static_cast<std::ptrdiff_t>(count)};
}

std::string_view to_string(TuningEffort effort) {
  switch (effort) {
    case TuningEffort::kQuick:
      return "quick";
    case TuningEffort::kNormal:
      return "normal";
    case TuningEffort::kFull:
      return "full";
  }
  return "unknown";
}

std::optional<TuningEffort> parse_tuning_effort(std::string_view text) {
  for (const TuningEffort effort : {TuningEffort::kQuick, TuningEffort::kNormal, TuningEffort::kFull})
    if (to_string(effort) == text) return effort;
  return std::nullopt;
}

}  // namespace flashmask
