#include "runtime/store/kernel_record.h"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace flashmask {
namespace {

constexpr int kSchemaVersion = 2;

using Json = nlohmann::ordered_json;

/// A value that the parser of its type accepts.
template <typename Parse>
auto parsed(const Json& object, const char* key, Parse parse) {
  const std::string& text = object.at(key).get_ref<const std::string&>();
  const auto value = parse(text);
  if (!value) throw std::invalid_argument(std::string(key) + " = \"" + text + "\" is unknown");
  return *value;
}

/// A number that is really one: nlohmann would turn true into 1 and 1.5 into 1.
int integer(const Json& object, const char* key) {
  const Json& value = object.at(key);
  if (!value.is_number_integer()) throw std::invalid_argument(std::string(key) + " is not an integer");
  const auto wide = value.get<std::int64_t>();
  if (wide < 0 || wide > std::int64_t{1} << 30) throw std::invalid_argument(std::string(key) + " is out of range");
  return static_cast<int>(wide);
}

}  // namespace

bool operator==(const KernelRecord& a, const KernelRecord& b) {
  return to_json(a) == to_json(b);
}

std::string to_json(const KernelRecord& record) {
  const KernelDescriptor& descriptor = record.descriptor;
  const TileConfig& config = record.config;
  const KernelResources& resources = record.resources;
  Json json = {
      {"schema", kSchemaVersion},
      {"descriptor",
       {{"pass", to_string(descriptor.pass)},
        {"dtype", to_string(descriptor.dtype)},
        {"head_dim_qk", descriptor.head_dim_qk},
        {"head_dim_v", descriptor.head_dim_v},
        {"mask_form", to_string(descriptor.mask_form)},
        {"causal_alignment", to_string(descriptor.causal_alignment)},
        {"target", to_string(descriptor.target)},
        {"deterministic", descriptor.deterministic}}},
      {"config",
       {{"tile_q", config.tile_q},
        {"tile_k", config.tile_k},
        {"warps", config.warps},
        {"stages", config.stages},
        {"query_in_registers", config.query_in_registers},
        {"column_warps", config.column_warps},
        {"overlap", config.overlap},
        {"turns", config.turns},
        {"query_slots", config.query_slots}}},
      {"entry", record.entry},
      {"resources",
       {{"registers", resources.registers},
        {"spill_store_bytes", resources.spill_store_bytes},
        {"spill_load_bytes", resources.spill_load_bytes},
        {"static_shared_bytes", resources.static_shared_bytes},
        {"dynamic_shared_bytes", resources.dynamic_shared_bytes},
        {"stack_bytes", resources.stack_bytes}}},
      {"toolchain", record.toolchain},
      {"log", record.log},
  };
  // A log may hold any bytes; an entry's metadata is UTF-8.
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::optional<KernelRecord> parse_record(std::string_view text, std::string& why) try {
  const Json json = Json::parse(text);
  if (const int schema = integer(json, "schema"); schema != kSchemaVersion)
    throw std::invalid_argument("schema " + std::to_string(schema) + " is not " + std::to_string(kSchemaVersion));
  KernelRecord record;
  const Json& descriptor = json.at("descriptor");
  record.descriptor.pass = parsed(descriptor, "pass", parse_pass);
  record.descriptor.dtype = parsed(descriptor, "dtype", parse_data_type);
  record.descriptor.head_dim_qk = integer(descriptor, "head_dim_qk");
  record.descriptor.head_dim_v = integer(descriptor, "head_dim_v");
  record.descriptor.mask_form = parsed(descriptor, "mask_form", parse_mask_form);
  record.descriptor.causal_alignment = parsed(descriptor, "causal_alignment", parse_causal_alignment);
  record.descriptor.target = parsed(descriptor, "target", parse_target);
  record.descriptor.deterministic = descriptor.at("deterministic").get<bool>();
  const Json& config = json.at("config");
  record.config.tile_q = integer(config, "tile_q");
  record.config.tile_k = integer(config, "tile_k");
  record.config.warps = integer(config, "warps");
  record.config.stages = integer(config, "stages");
  record.config.query_in_registers = config.at("query_in_registers").get<bool>();
  record.config.column_warps = integer(config, "column_warps");
  record.config.overlap = config.at("overlap").get<bool>();
  record.config.turns = config.at("turns").get<bool>();
  record.config.query_slots = integer(config, "query_slots");
  record.entry = json.at("entry").get<std::string>();
  const Json& resources = json.at("resources");
  record.resources.registers = integer(resources, "registers");
  record.resources.spill_store_bytes = integer(resources, "spill_store_bytes");
  record.resources.spill_load_bytes = integer(resources, "spill_load_bytes");
  record.resources.static_shared_bytes = integer(resources, "static_shared_bytes");
  record.resources.dynamic_shared_bytes = integer(resources, "dynamic_shared_bytes");
  record.resources.stack_bytes = integer(resources, "stack_bytes");
  record.toolchain = json.at("toolchain").get<std::string>();
  record.log = json.at("log").get<std::string>();
  return record;
} catch (const std::exception& error) {
  why = error.what();
  return std::nullopt;
}

}  // namespace flashmask
