#include "runtime/tune/repetitions.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

#include "runtime/tune/choice.h"

namespace flashmask::tune {
namespace {

constexpr int kRepetitions = 200;

/// A prime, so that candidates do not meet the same noise again in a later repetition.
constexpr std::size_t kNormals = 4093;

/// Both the measurement and its repetition are off by an error.
constexpr double kErrorsOfADifference = std::numbers::sqrt2;

/// Box-Muller over an engine that the standard defines: std::normal_distribution differs from library to library.
std::array<double, kNormals> draw_normals() {
  std::mt19937_64 engine(20);
  const auto uniform = [&engine] { return (static_cast<double>(engine() >> 11U) + 0.5) * 0x1p-53; };
  std::array<double, kNormals> normals{};
  for (double& normal : normals) {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    normal = radius * std::cos(2 * std::numbers::pi * uniform());
  }
  return normals;
}

}  // namespace

double agreement_of_repetitions(std::span<const double> log_times, std::span<const double> errors, double log_band,
                                std::optional<std::size_t> incumbent, std::size_t winner) {
  static const std::array<double, kNormals> normals = draw_normals();
  std::vector<double> repeated(log_times.size());
  std::size_t next = 0;
  int agreeing = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    for (std::size_t i = 0; i < repeated.size(); ++i) {
      repeated[i] = log_times[i] + kErrorsOfADifference * errors[i] * normals[next];
      if (++next == kNormals) next = 0;
    }
    agreeing += choose(repeated, log_band, incumbent).winner == winner ? 1 : 0;
  }
  return static_cast<double>(agreeing) / kRepetitions;
}

}  // namespace flashmask::tune
