#include "runtime/tune/drift.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::tune {
namespace {

/// Of NVML's reasons of clock events those that slow a GPU down.
constexpr std::uint64_t kPowerCap = 0x4;
struct Slowdown {
  std::uint64_t bit;
  std::string_view name;
};
constexpr Slowdown kSlowdowns[] = {
    {0x8, "hardware slowdown"}, {0x20, "too hot"}, {0x40, "far too hot"}, {0x80, "the power supply asked for it"}};

/// Values that a third needs for its median to say something.
constexpr std::size_t kLeastThird = 3;

/// A change counts from this many standard errors on.
constexpr double kSignificant = 3;

/// Of normal noise: standard deviation over median absolute deviation, and standard error of a median over that of a
/// mean.
constexpr double kDeviationsPerMad = 1.4826;
constexpr double kMedianError = 1.2533;

/// How a series changed from its first third to its last.
struct Change {
  double first = 0;
  double last = 0;
  double change = 0;
  double error = 0;  ///< standard error of the change
};

double median_distance(std::span<const double> values, double center) {
  std::vector<double> distances(values.size());
  std::ranges::transform(values, distances.begin(), [&](double value) { return std::abs(value - center); });
  return median(std::move(distances));
}

/// Empty if the series is too short.
std::optional<Change> change_of(std::span<const double> values) {
  const std::size_t third = values.size() / 3;
  if (third < kLeastThird) return std::nullopt;
  const std::span<const double> first = values.first(third);
  const std::span<const double> last = values.last(third);
  Change change{.first = median({first.begin(), first.end()}), .last = median({last.begin(), last.end()})};
  change.change = change.last / change.first - 1;
  const double deviation = kDeviationsPerMad * std::hypot(median_distance(first, change.first) / change.first,
                                                          median_distance(last, change.last) / change.last);
  change.error = kMedianError * deviation / std::sqrt(static_cast<double>(third));
  return change;
}

std::string signed_percent(double share) {
  return fmt::format("{:+.1f} %", 100 * share);
}

}  // namespace

Drift detect_drift(const Rounds& rounds, std::span<const RoundClocks> clocks, const DecisionPolicy& policy) {
  if (!clocks.empty() && clocks.size() != rounds.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("clocks of {} rounds for {} rounds: one for each, or none", clocks.size(), rounds.size()));
  }
  std::vector<double> seconds;
  for (const std::vector<double>& round : rounds) {
    if (round.empty()) throw Error(ErrorCode::kInvalidArgument, "a round without candidates: at least the default");
    if (std::isfinite(round.front()) && round.front() > 0) seconds.push_back(round.front());
  }
  std::vector<double> mhz;
  std::uint64_t reasons = 0;
  for (const RoundClocks& clock : clocks) {
    if (clock.sm_mhz > 0) mhz.push_back(clock.sm_mhz);
    reasons |= clock.event_reasons;
  }

  Drift drift;
  std::vector<std::string> findings;
  if (const std::optional<Change> change = change_of(seconds)) {
    drift.change = change->change;
    drift.drifted = std::abs(change->change) > std::max(policy.band, kSignificant * change->error);
    findings.push_back(fmt::format("the default's time {} by {} from the first third of {} rounds to the last",
                                   drift.drifted ? "drifted" : "is steady, it changed", signed_percent(drift.change),
                                   seconds.size()));
  } else {
    findings.push_back(
        fmt::format("{} rounds are too few to see a drift: {} are needed", seconds.size(), 3 * kLeastThird));
  }
  if (const std::optional<Change> change = change_of(mhz); change) {
    drift.clock_change = change->change;
    if (std::abs(change->change) > policy.band) {
      findings.push_back(fmt::format("the SM clock went from {:.0f} to {:.0f} MHz", change->first, change->last));
    }
  }
  for (const Slowdown& slowdown : kSlowdowns) {
    if ((reasons & slowdown.bit) == 0) continue;
    drift.throttled = true;
    findings.push_back(fmt::format("the GPU slowed down: {}", slowdown.name));
  }
  if ((reasons & kPowerCap) != 0) {
    drift.power_capped = true;
    findings.emplace_back("the GPU ran at its power limit");
  }
  drift.reason = fmt::format("{}", fmt::join(findings, "; "));
  return drift;
}

}  // namespace flashmask::tune
