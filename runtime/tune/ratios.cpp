#include "runtime/tune/ratios.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashmask/error.h"

namespace flashmask::tune {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Events of a GPU tick every half microsecond: equal samples do not mean that there is no noise.
constexpr double kLeastNoise = 0.001;

/// A median absolute deviation times this is the standard deviation of normal noise.
constexpr double kDeviationsPerMad = 1.4826;

/// Tukey's biweight: samples this many standard deviations off count nothing. Its variance is then 1/0.95 of the
/// mean's.
constexpr double kBiweightReach = 4.685;
constexpr double kBiweightError = 1.026;
constexpr int kBiweightSteps = 2;

bool is_time(double seconds) {
  return std::isfinite(seconds) && seconds > 0;
}

void check_shape(const Rounds& rounds) {
  const std::size_t candidates = rounds.front().size();
  if (candidates == 0) throw Error(ErrorCode::kInvalidArgument, "rounds without candidates: at least the default");
  for (const std::vector<double>& round : rounds) {
    if (round.size() == candidates) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("a round of {} durations after rounds of {}: every round has one of each candidate, NaN where "
                    "it did not run",
                    round.size(), candidates));
  }
}

/// Standard deviation, as if outliers were not there. The median absolute deviation of few samples is too small.
double robust_deviation(const std::vector<double>& values, double center) {
  std::vector<double> distances(values.size());
  std::ranges::transform(values, distances.begin(), [&](double value) { return std::abs(value - center); });
  const double count = static_cast<double>(values.size());
  return kDeviationsPerMad * median(std::move(distances)) * count / (count - 0.8);
}

double biweight_mean(const std::vector<double>& values, double center, double deviation) {
  const double reach = kBiweightReach * deviation;
  for (int step = 0; step < kBiweightSteps; ++step) {
    double sum = 0;
    double weights = 0;
    for (const double value : values) {
      const double distance = (value - center) / reach;
      if (std::abs(distance) >= 1) continue;
      const double weight = (1 - distance * distance) * (1 - distance * distance);
      sum += weight * value;
      weights += weight;
    }
    if (weights > 0) center = sum / weights;
  }
  return center;
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Ratios estimate_ratios(const Rounds& rounds) {
  check_shape(rounds);
  const std::size_t candidates = rounds.front().size();
  Ratios ratios;
  ratios.ran.resize(candidates);
  for (std::size_t i = 0; i < candidates; ++i) {
    ratios.ran[i] = std::ranges::all_of(rounds, [i](const std::vector<double>& round) { return is_time(round[i]); });
  }
  const auto first = std::ranges::find(ratios.ran, true);
  ratios.reference = first == ratios.ran.end() ? 0 : static_cast<std::size_t>(first - ratios.ran.begin());

  std::vector<std::vector<double>> logs(candidates);
  std::vector<double> medians(candidates, kNan);
  std::vector<double> deviations(candidates, kNan);
  std::vector<double> typical;
  for (std::size_t i = 0; i < candidates; ++i) {
    for (const std::vector<double>& round : rounds) {
      if (!is_time(round[i]) || !is_time(round[ratios.reference])) continue;
      logs[i].push_back(std::log(round[i] / round[ratios.reference]));
    }
    if (logs[i].empty()) continue;
    medians[i] = median(logs[i]);
    deviations[i] = robust_deviation(logs[i], medians[i]);
    if (ratios.ran[i] && i != ratios.reference) typical.push_back(deviations[i]);
  }
  const double deviation = std::max(kLeastNoise, typical.empty() ? 0 : median(std::move(typical)));
  const double root = std::sqrt(static_cast<double>(rounds.size()));
  ratios.noise = kBiweightError * deviation / root;
  ratios.log_ratio.assign(candidates, kNan);
  // Half of a typical ratio's variance is the reference's, the rest is the candidate's own.
  ratios.error.assign(candidates, ratios.noise / std::sqrt(2.0));
  for (std::size_t i = 0; i < candidates; ++i) {
    if (logs[i].empty()) continue;
    const double own = std::max(deviation, deviations[i]);
    ratios.log_ratio[i] = i == ratios.reference ? 0 : biweight_mean(logs[i], medians[i], own);
    if (i != ratios.reference) {
      ratios.error[i] = kBiweightError * std::sqrt(own * own - deviation * deviation / 2) / root;
    }
  }
  return ratios;
}

}  // namespace flashmask::tune
