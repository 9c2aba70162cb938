#include "runtime/tune/json_members.h"

#include <cmath>
#include <limits>

namespace flashmask::tune {

using Json = nlohmann::json;

void fail_member(const char* key, std::string_view what) {
  throw std::invalid_argument(fmt::format("{} {}", key, what));
}

const Json& member(const Json& object, const char* key) {
  const auto found = object.find(key);  // of what is no object: nothing
  if (found == object.end()) fail_member(key, "is missing");
  return *found;
}

const Json& object_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_object()) fail_member(key, "is no object");
  return value;
}

const std::string& text_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) fail_member(key, "is no text");
  return value.get_ref<const std::string&>();
}

bool flag_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_boolean()) fail_member(key, "is neither true nor false");
  return value.get<bool>();
}

std::uint64_t count_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number_unsigned()) fail_member(key, "is no integer from 0 on");
  return value.get<std::uint64_t>();
}

int number_in(const Json& object, const char* key) {
  const std::uint64_t number = count_in(object, key);
  if (number > std::uint64_t{1} << 30) fail_member(key, "is greater than 2^30");
  return static_cast<int>(number);
}

int integer_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  const bool is_integer = value.is_number_integer();
  const bool is_huge = value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<int>::max();
  const auto number = is_integer && !is_huge ? value.get<std::int64_t>() : std::numeric_limits<std::int64_t>::max();
  if (number < std::numeric_limits<int>::min() || number > std::numeric_limits<int>::max())
    fail_member(key, "is no integer of 32 bits");
  return static_cast<int>(number);
}

double real_in(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number()) fail_member(key, "is no number");
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < 0) fail_member(key, "is no finite number from 0 on");
  return number;
}

nlohmann::ordered_json to_json(const TuningProvenance& provenance) {
  return {
      {"driver", provenance.driver},   {"sm_clock_mhz", provenance.sm_clock_mhz}, {"toolchain", provenance.toolchain},
      {"library", provenance.library}, {"problem", provenance.problem},           {"effort", provenance.effort},
      {"date", provenance.date}};
}

TuningProvenance provenance_of(const Json& json) {
  return {text_in(json, "driver"),  integer_in(json, "sm_clock_mhz"), text_in(json, "toolchain"),
          text_in(json, "library"), text_in(json, "problem"),         text_in(json, "effort"),
          text_in(json, "date")};
}

nlohmann::ordered_json to_json(const KernelResources& resources) {
  return {{"registers", resources.registers},
          {"spill_store_bytes", resources.spill_store_bytes},
          {"spill_load_bytes", resources.spill_load_bytes},
          {"static_shared_bytes", resources.static_shared_bytes},
          {"dynamic_shared_bytes", resources.dynamic_shared_bytes},
          {"stack_bytes", resources.stack_bytes}};
}

KernelResources resources_of(const Json& json) {
  return {integer_in(json, "registers"),
          integer_in(json, "spill_store_bytes"),
          integer_in(json, "spill_load_bytes"),
          integer_in(json, "static_shared_bytes"),
          integer_in(json, "dynamic_shared_bytes"),
          integer_in(json, "stack_bytes")};
}

nlohmann::ordered_json to_json(const std::vector<std::pair<TileConfig, double>>& times) {
  auto json = nlohmann::ordered_json::array();
  for (const auto& [config, seconds] : times) json.push_back({{"config", to_string(config)}, {"seconds", seconds}});
  return json;
}

std::vector<std::pair<TileConfig, double>> times_of(const Json& json) {
  std::vector<std::pair<TileConfig, double>> times;
  for (const Json& time : json)
    times.emplace_back(named_in(time, "config", parse_tile_config), real_in(time, "seconds"));
  return times;
}

std::string line_of(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace flashmask::tune
