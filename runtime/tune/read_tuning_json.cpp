#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "flashmask/error.h"
#include "flashmask/tuning_database.h"
#include "runtime/tune/json_members.h"
#include "runtime/tune/tuning_json.h"

namespace flashmask {
namespace tune {
namespace {

using Json = nlohmann::json;

int extent_in(const Json& object, const char* key) {
  const int extent = number_in(object, key);
  if (extent != 0 && !std::has_single_bit(static_cast<unsigned>(extent))) fail_member(key, "is no power of two");
  return extent;
}

/// "2026-11-27T12:00:00Z": dates are compared as text.
bool is_date(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  return std::equal(text.begin(), text.end(), kForm.begin(), kForm.end(), [](char character, char form) {
    return form == '0' ? character >= '0' && character <= '9' : character == form;
  });
}

TuningKey key_of(const Json& json) {
  TuningKey key;
  key.basis = named_in(json, "basis", parse_tuning_basis);
  const Json& gpu = object_in(json, "gpu");
  key.gpu = {text_in(gpu, "name"), number_in(gpu, "compute_capability"), number_in(gpu, "multiprocessors"),
             count_in(gpu, "l2_bytes"), count_in(gpu, "shared_bytes_per_block")};
  const Json& descriptor = object_in(json, "descriptor");
  key.descriptor.pass = named_in(descriptor, "pass", parse_pass);
  key.descriptor.dtype = named_in(descriptor, "dtype", parse_data_type);
  key.descriptor.head_dim_qk = number_in(descriptor, "head_dim_qk");
  key.descriptor.head_dim_v = number_in(descriptor, "head_dim_v");
  key.descriptor.mask_form = named_in(descriptor, "mask_form", parse_mask_form);
  key.descriptor.causal_alignment = named_in(descriptor, "causal_alignment", parse_causal_alignment);
  key.descriptor.target = named_in(descriptor, "target", parse_target);
  key.descriptor.deterministic = flag_in(descriptor, "deterministic");
  const Json& bucket = object_in(json, "bucket");
  key.bucket = {extent_in(bucket, "seqlen_q"), extent_in(bucket, "seqlen_k"), extent_in(bucket, "heads"),
                named_in(bucket, "density", parse_density_class)};
  key.method = text_in(json, "method");
  key.templates = text_in(json, "templates");
  return key;
}

}  // namespace

TuningRecord record_of(const Json& json) {
  if (!json.is_object()) throw std::invalid_argument("it is no object");
  TuningRecord record;
  record.key = key_of(json);
  record.config = named_in(json, "config", parse_tile_config);
  record.default_config = named_in(json, "default_config", parse_tile_config);
  record.seconds = real_in(json, "seconds");
  record.default_seconds = real_in(json, "default_seconds");
  record.band = real_in(json, "band");
  record.rounds = number_in(json, "rounds");
  record.reason = text_in(json, "reason");
  record.provenance = provenance_of(object_in(json, "provenance"));
  if (!is_date(record.provenance.date)) fail_member("date", "is no UTC time like 2026-11-27T12:00:00Z");
  // A library may have other rules than the one that measured.
  if (const auto rules = broken_rules(record.key.descriptor, record.config); !rules.empty())
    throw std::invalid_argument(fmt::format("{}: {}", to_string(record.key.descriptor), fmt::join(rules, "; ")));
  return record;
}

}  // namespace tune

std::vector<TuningRecord> parse_tuning_json(const std::string& text, const std::string& name,
                                            std::vector<std::string>& passed_over) {
  const nlohmann::json json = tune::parse_bounded_json(text, name);
  const auto refuse = [&name](const std::string& what) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}:1:1: {}", name, what),
                "give a file that `flashmask tune export` wrote");
  };
  if (!json.is_object() || json.value("format", nlohmann::json()) != tune::kJsonFormat)
    refuse(fmt::format("an object whose \"format\" is \"{}\" is needed", tune::kJsonFormat));
  if (const nlohmann::json schema = json.value("schema", nlohmann::json()); schema != tune::kJsonSchema)
    refuse(fmt::format("\"schema\" is not {}, which this library reads", tune::kJsonSchema));
  const auto list = json.find("records");
  if (list == json.end() || !list->is_array()) refuse("\"records\" is no list");
  std::vector<TuningRecord> records;
  for (std::size_t i = 0; i < list->size(); ++i) {
    try {
      records.push_back(tune::record_of((*list)[i]));
    } catch (const std::invalid_argument& error) {
      passed_over.push_back(fmt::format("{}: record {}: {}", name, i + 1, error.what()));
    }
  }
  return records;
}

TuningImport import_tuning_json(TuningDatabase& database, const std::string& text, const std::string& name) {
  std::vector<std::string> passed_over;
  const std::vector<TuningRecord> records = parse_tuning_json(text, name, passed_over);
  TuningImport result = database.merge(records);
  result.passed_over.insert(result.passed_over.begin(), passed_over.begin(), passed_over.end());
  return result;
}

}  // namespace flashmask
