#pragma once

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "flashmask/tuning.h"

namespace flashmask::tune {

// Members of a JSON object that may hold anything. All throw std::invalid_argument with the key and what is wrong.

[[noreturn]] void fail_member(const char* key, std::string_view what);
const nlohmann::json& member(const nlohmann::json& object, const char* key);
const nlohmann::json& object_in(const nlohmann::json& object, const char* key);
const std::string& text_in(const nlohmann::json& object, const char* key);
bool flag_in(const nlohmann::json& object, const char* key);
/// From 0 to 2^64 - 1. nlohmann would turn true into 1 and 1.5 into 1.
std::uint64_t count_in(const nlohmann::json& object, const char* key);
/// From 0 to 2^30.
int number_in(const nlohmann::json& object, const char* key);
/// Any int.
int integer_in(const nlohmann::json& object, const char* key);
/// Finite and not negative.
double real_in(const nlohmann::json& object, const char* key);

/// A value that the parser of its type accepts.
template <typename Parse>
auto named_in(const nlohmann::json& object, const char* key, Parse parse) {
  const std::string& text = text_in(object, key);
  const auto value = parse(text);
  if (!value) fail_member(key, fmt::format("is unknown: \"{}\"", text.substr(0, 60)));
  return *value;
}

// The parts that the database keeps as JSON, too: nothing looks for them, and SQLite parses every column of a schema
// whenever it opens a file.

nlohmann::ordered_json to_json(const TuningProvenance& provenance);
nlohmann::ordered_json to_json(const KernelResources& resources);
nlohmann::ordered_json to_json(const std::vector<std::pair<TileConfig, double>>& times);
TuningProvenance provenance_of(const nlohmann::json& json);
KernelResources resources_of(const nlohmann::json& json);
std::vector<std::pair<TileConfig, double>> times_of(const nlohmann::json& json);

/// On one line. Numbers keep every bit; what is no UTF-8 is replaced, as JSON has no other text.
std::string line_of(const nlohmann::ordered_json& json);

}  // namespace flashmask::tune
