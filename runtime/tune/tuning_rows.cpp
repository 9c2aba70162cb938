#include "runtime/tune/tuning_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/tune/json_members.h"

namespace flashmask::tune {
namespace {

constexpr std::string_view kAnyTile = "any tile";  // as to_string() writes a configuration without values

/// "form(a),form(b)" of "a,b".
template <typename Form>
std::string each(std::string_view columns, Form form) {
  std::string text;
  while (!columns.empty()) {
    const std::size_t comma = std::min(columns.find(','), columns.size());
    text += fmt::format("{}{}", text.empty() ? "" : ",", form(columns.substr(0, comma)));
    columns.remove_prefix(std::min(comma + 1, columns.size()));
  }
  return text;
}

void require_finite(double number, std::string_view name) {
  if (!std::isfinite(number))
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} = {}: a finite number is needed", name, number),
                "record the trial as one that failed");
}

/// What was written by line_of(). Whatever else stands there is not sound.
template <typename Parse>
bool parse_part(const std::string& text, Parse parse) {
  try {
    parse(nlohmann::json::parse(text));
    return true;
  } catch (const std::invalid_argument&) {
  } catch (const nlohmann::json::exception&) {
  }
  return false;
}

}  // namespace

const std::string_view kKeyColumns =
    "pass,dtype,head_dim_qk,head_dim_v,mask_form,causal_alignment,target,deterministic,"
    "basis,gpu,compute_capability,multiprocessors,l2_bytes,shared_bytes_per_block,"
    "seqlen_q,seqlen_k,heads,density,method,templates";
const std::string_view kTrialColumns =
    "config,outcome,reason,resources,ctas_per_sm,compile_seconds,coarse_seconds,provenance";
const std::string_view kRoundColumns = "session,sm_clock_mhz,times";
const std::string_view kAnswerColumns = "config,default_config,seconds,default_seconds,band,rounds,reason,provenance";

std::string name_start_of(const KernelDescriptor& descriptor) {
  return fmt::format("{} {} {} {} {} {} {} {}\n", to_string(descriptor.pass), to_string(descriptor.dtype),
                     descriptor.head_dim_qk, descriptor.head_dim_v, to_string(descriptor.mask_form),
                     to_string(descriptor.causal_alignment), to_string(descriptor.target),
                     static_cast<int>(descriptor.deterministic));
}

std::string name_of(const TuningKey& key) {
  // Texts that may hold anything stand behind their lengths.
  return fmt::format("{}{} {} {} {} {} {} {} {} {} {} {} {} {} {}", name_start_of(key.descriptor), to_string(key.basis),
                     key.gpu.compute_capability, key.gpu.multiprocessors, key.gpu.l2_bytes,
                     key.gpu.shared_bytes_per_block, key.bucket.seqlen_q, key.bucket.seqlen_k, key.bucket.heads,
                     to_string(key.bucket.density), key.gpu.name.size(), key.gpu.name, key.method.size(), key.method,
                     key.templates);
}

std::string places_of(std::string_view columns) {
  return each(columns, [](std::string_view) { return "?"; });
}

std::string replacement_of(std::string_view columns) {
  return each(columns, [](std::string_view column) { return fmt::format("{0}=excluded.{0}", column); });
}

void RowReader::read(std::uint64_t& number) {
  std::int64_t stored = 0;
  read(stored);
  number = static_cast<std::uint64_t>(stored);
}

void RowReader::read(int& number) {
  std::int64_t wide = 0;
  read(wide);
  note(wide >= std::numeric_limits<int>::min() && wide <= std::numeric_limits<int>::max());
  number = static_cast<int>(wide);
}

void RowReader::read(bool& flag) {
  std::int64_t number = 0;
  read(number);
  note(number == 0 || number == 1);
  flag = number == 1;
}

void RowReader::read(TileConfig& config) {
  read(config, [](std::string_view text) {
    return text == kAnyTile ? std::optional<TileConfig>(TileConfig{}) : parse_tile_config(text);
  });
}

void RowReader::read(KernelResources& resources) {
  std::string text;
  read(text);
  note(parse_part(text, [&](const nlohmann::json& json) { resources = resources_of(json); }));
}

void RowReader::read(TuningProvenance& provenance) {
  std::string text;
  read(text);
  note(parse_part(text, [&](const nlohmann::json& json) { provenance = provenance_of(json); }));
}

void RowReader::read(std::vector<std::pair<TileConfig, double>>& times) {
  std::string text;
  read(text);
  note(parse_part(text, [&](const nlohmann::json& json) { times = times_of(json); }));
}

void bind(Statement& statement, const TuningKey& key) {
  const KernelDescriptor& descriptor = key.descriptor;
  statement.bind(to_string(descriptor.pass))
      .bind(to_string(descriptor.dtype))
      .bind(std::int64_t{descriptor.head_dim_qk})
      .bind(std::int64_t{descriptor.head_dim_v})
      .bind(to_string(descriptor.mask_form))
      .bind(to_string(descriptor.causal_alignment))
      .bind(to_string(descriptor.target))
      .bind(std::int64_t{descriptor.deterministic});
  statement.bind(to_string(key.basis))
      .bind(key.gpu.name)
      .bind(std::int64_t{key.gpu.compute_capability})
      .bind(std::int64_t{key.gpu.multiprocessors})
      .bind(static_cast<std::int64_t>(key.gpu.l2_bytes))
      .bind(static_cast<std::int64_t>(key.gpu.shared_bytes_per_block));
  statement.bind(std::int64_t{key.bucket.seqlen_q})
      .bind(std::int64_t{key.bucket.seqlen_k})
      .bind(std::int64_t{key.bucket.heads})
      .bind(to_string(key.bucket.density))
      .bind(key.method)
      .bind(key.templates);
}

void bind(Statement& statement, const TuningTrial& trial, const TuningProvenance& provenance) {
  require_finite(trial.compile_seconds, "compile_seconds");
  require_finite(trial.coarse_seconds, "coarse_seconds");
  statement.bind(to_string(trial.config))
      .bind(to_string(trial.outcome))
      .bind(trial.reason)
      .bind(line_of(to_json(trial.resources)))
      .bind(std::int64_t{trial.ctas_per_sm})
      .bind(trial.compile_seconds)
      .bind(trial.coarse_seconds)
      .bind(line_of(to_json(provenance)));
}

void bind(Statement& statement, const TuningRound& round) {
  for (const auto& [config, seconds] : round.seconds) require_finite(seconds, "seconds");
  statement.bind(round.session).bind(std::int64_t{round.sm_clock_mhz}).bind(line_of(to_json(round.seconds)));
}

void bind(Statement& statement, const TuningRecord& record) {
  require_finite(record.seconds, "seconds");
  require_finite(record.default_seconds, "default_seconds");
  require_finite(record.band, "band");
  statement.bind(to_string(record.config))
      .bind(to_string(record.default_config))
      .bind(record.seconds)
      .bind(record.default_seconds)
      .bind(record.band)
      .bind(std::int64_t{record.rounds})
      .bind(record.reason)
      .bind(line_of(to_json(record.provenance)));
}

void read(RowReader& row, TuningKey& key) {
  KernelDescriptor& descriptor = key.descriptor;
  row.read(descriptor.pass, parse_pass);
  row.read(descriptor.dtype, parse_data_type);
  row.read(descriptor.head_dim_qk);
  row.read(descriptor.head_dim_v);
  row.read(descriptor.mask_form, parse_mask_form);
  row.read(descriptor.causal_alignment, parse_causal_alignment);
  row.read(descriptor.target, parse_target);
  row.read(descriptor.deterministic);
  row.read(key.basis, parse_tuning_basis);
  row.read(key.gpu.name);
  row.read(key.gpu.compute_capability);
  row.read(key.gpu.multiprocessors);
  row.read(key.gpu.l2_bytes);
  row.read(key.gpu.shared_bytes_per_block);
  row.read(key.bucket.seqlen_q);
  row.read(key.bucket.seqlen_k);
  row.read(key.bucket.heads);
  row.read(key.bucket.density, parse_density_class);
  row.read(key.method);
  row.read(key.templates);
}

void read(RowReader& row, TuningTrial& trial, TuningProvenance& provenance) {
  row.read(trial.config);
  row.read(trial.outcome, parse_trial_outcome);
  row.read(trial.reason);
  row.read(trial.resources);
  row.read(trial.ctas_per_sm);
  row.read(trial.compile_seconds);
  row.read(trial.coarse_seconds);
  row.read(provenance);
}

void read(RowReader& row, TuningRound& round) {
  row.read(round.session);
  row.read(round.sm_clock_mhz);
  row.read(round.seconds);
}

void read(RowReader& row, TuningRecord& record) {
  row.read(record.config);
  row.read(record.default_config);
  row.read(record.seconds);
  row.read(record.default_seconds);
  row.read(record.band);
  row.read(record.rounds);
  row.read(record.reason);
  row.read(record.provenance);
}

}  // namespace flashmask::tune
