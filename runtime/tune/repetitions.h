#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace flashmask::tune {

/// Share of simulated repetitions of a measurement in which choose() comes to this winner. Each candidate's time is
/// moved by normal noise: of what is known now and of what a repetition would add. Deterministic.
double agreement_of_repetitions(std::span<const double> log_times, std::span<const double> errors, double log_band,
                                std::optional<std::size_t> incumbent, std::size_t winner);

}  // namespace flashmask::tune
