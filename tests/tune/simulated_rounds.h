#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <span>
#include <vector>

#include "runtime/tune/ratios.h"

namespace flashmask::tune {

/// Random numbers that are the same with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  /// In (0, 1).
  double uniform() { return (static_cast<double>(engine_() >> 11U) + 0.5) * 0x1p-53; }
  double uniform(double least, double most) { return least + (most - least) * uniform(); }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(uniform() * static_cast<double>(count)); }
  double normal() {
    has_spare_ = !has_spare_;
    if (!has_spare_) return spare_;
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 engine_;
  double spare_ = 0;
  bool has_spare_ = false;
};

/// Deviations of ratios of our kernels' times from their median over interleaved rounds, in 1/10000, as quantiles;
/// recorded on an H100 in bench/results: kCalm in the cells of hopper_density, hopper_d96 and backward_masks with a
/// robust deviation under a percent (253 samples, mostly sparse masks); kPowerCapped in backward_h100, whose dense
/// cells ran at the power limit (144 samples).
inline constexpr std::array<int, 50> kCalm = {-280, -174, -125, -85, -69, -55, -49, -44, -35, -31, -25, -21, -16,
                                              -14,  -12,  -11,  -9,  -8,  -5,  -3,  -2,  0,   0,   0,   0,   0,
                                              0,    0,    1,    2,   5,   6,   8,   9,   11,  13,  16,  20,  23,
                                              28,   35,   39,   44,  48,  54,  63,  98,  150, 204, 294};
inline constexpr std::array<int, 50> kPowerCapped = {
    -1642, -483, -370, -321, -286, -240, -215, -198, -176, -155, -149, -118, -110, -87, -63, -58, -47,
    -43,   -34,  -26,  -20,  -6,   0,    0,    0,    0,    0,    0,    5,    16,   23,  39,  62,  75,
    85,    95,   125,  146,  168,  220,  236,  256,  287,  343,  430,  576,  696,  747, 935, 1839};

/// How durations scatter about the truth.
struct Noise {
  double sigma = 0.007;                ///< of the logarithm of one sample
  std::span<const int> recorded = {};  ///< deviations of ratios instead of normal noise, if any
  double outliers = 0.05;              ///< share of samples that are 5 to 20 % slower
  double drift = 0.04;                 ///< deviation of how much a run starts slower or faster than it ends
  double common = 0.01;                ///< deviation of what a round has in common
};

/// One measurement: rounds of candidates whose true times are known.
class SimulatedRounds {
 public:
  SimulatedRounds(std::vector<double> truth, Noise noise, std::uint64_t seed)
      : truth_(std::move(truth)), noise_(noise), random_(seed), drift_(noise.drift * random_.normal()) {}

  std::vector<double> next() {
    const double warming = drift_ * std::exp(-static_cast<double>(round_++) / 6);
    const double common = warming + noise_.common * random_.normal();
    std::vector<double> seconds;
    seconds.reserve(truth_.size());
    for (const double time : truth_) {
      double sample = 1e-3 * time * std::exp(common + deviation());
      if (random_.uniform() < noise_.outliers) sample *= random_.uniform(1.05, 1.20);
      seconds.push_back(sample);
    }
    return seconds;
  }

 private:
  double deviation() {
    if (noise_.recorded.empty()) return noise_.sigma * random_.normal();
    // Each of the two times of a ratio has half of its variance.
    return 1e-4 * noise_.recorded[random_.below(noise_.recorded.size())] / std::numbers::sqrt2;
  }

  std::vector<double> truth_;
  Noise noise_;
  Random random_;
  double drift_;
  int round_ = 0;
};

}  // namespace flashmask::tune
