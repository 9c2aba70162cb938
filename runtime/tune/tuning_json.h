#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "flashmask/tuning.h"

namespace flashmask::tune {

// What both directions of the JSON agree on; docs/tuning.md describes it.
inline constexpr const char* kJsonFormat = "flashmask tuning answers";
inline constexpr int kJsonSchema = 1;

/// What a JSON text may make its reader do.
inline constexpr std::size_t kMostJsonBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMostJsonValues = 4'000'000;
inline constexpr std::size_t kMostJsonDepth = 8;

/// A text that was checked against the limits, as a value. Throws Error{kInvalidArgument} with line and column.
nlohmann::json parse_bounded_json(const std::string& text, const std::string& name);

/// One answer. Throws std::invalid_argument with what is malformed or illegal in it.
TuningRecord record_of(const nlohmann::json& json);

}  // namespace flashmask::tune
