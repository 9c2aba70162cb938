#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "flashmask/tuning_database.h"
#include "runtime/tune/json_members.h"
#include "runtime/tune/tuning_json.h"
#include "runtime/tune/tuning_order.h"

namespace flashmask {
namespace {

using Json = nlohmann::ordered_json;

/// The members of an object, without its braces.
std::string members(const Json& json) {
  const std::string object = tune::line_of(json);
  return object.substr(1, object.size() - 2);
}

std::string text_of(const TuningRecord& record) {
  const auto& [basis, gpu, descriptor, bucket, method, templates] = record.key;
  const std::vector<std::string> lines = {
      members({{"basis", to_string(basis)},
               {"gpu",
                {{"name", gpu.name},
                 {"compute_capability", gpu.compute_capability},
                 {"multiprocessors", gpu.multiprocessors},
                 {"l2_bytes", gpu.l2_bytes},
                 {"shared_bytes_per_block", gpu.shared_bytes_per_block}}}}),
      members({{"descriptor",
                {{"pass", to_string(descriptor.pass)},
                 {"dtype", to_string(descriptor.dtype)},
                 {"head_dim_qk", descriptor.head_dim_qk},
                 {"head_dim_v", descriptor.head_dim_v},
                 {"mask_form", to_string(descriptor.mask_form)},
                 {"causal_alignment", to_string(descriptor.causal_alignment)},
                 {"target", to_string(descriptor.target)},
                 {"deterministic", descriptor.deterministic}}}}),
      members({{"bucket",
                {{"seqlen_q", bucket.seqlen_q},
                 {"seqlen_k", bucket.seqlen_k},
                 {"heads", bucket.heads},
                 {"density", to_string(bucket.density)}}}}),
      members({{"method", method}, {"templates", templates}}),
      members({{"config", to_string(record.config)},
               {"default_config", to_string(record.default_config)},
               {"seconds", record.seconds},
               {"default_seconds", record.default_seconds},
               {"band", record.band},
               {"rounds", record.rounds}}),
      members({{"reason", record.reason}}),
      members({{"provenance", tune::to_json(record.provenance)}}),
  };
  return fmt::format("  {{{}}}", fmt::join(lines, ",\n   "));
}

}  // namespace

std::string tuning_json(const std::vector<TuningRecord>& records) {
  std::vector<std::pair<const TuningKey*, std::string>> texts;
  texts.reserve(records.size());
  for (const TuningRecord& record : records) texts.emplace_back(&record.key, text_of(record));
  std::sort(texts.begin(), texts.end(), [](const auto& a, const auto& b) {
    if (tune::precedes(*a.first, *b.first)) return true;
    // Several answers of one key, too, have one order.
    return !tune::precedes(*b.first, *a.first) && a.second < b.second;
  });
  std::string json =
      fmt::format("{{{},\n \"records\": [", members({{"format", tune::kJsonFormat}, {"schema", tune::kJsonSchema}}));
  for (const auto& [key, text] : texts) json += fmt::format("{}\n{}", key == texts.front().first ? "" : ",", text);
  return json + "]}\n";
}

}  // namespace flashmask
