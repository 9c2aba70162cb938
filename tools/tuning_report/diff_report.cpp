#include "tools/tuning_report/diff_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/ranking.h"

namespace flashmask::tuning_report {
namespace {

/// What most needs to be looked at comes first.
constexpr Agreement kReadingOrder[] = {Agreement::kBeyondBand, Agreement::kWithinBand, Agreement::kOnlyInA,
                                       Agreement::kOnlyInB, Agreement::kSameWinner};

using Line = std::array<std::string, 7>;

/// For columns of a terminal: a character outside of ASCII would count as more than one.
std::string speedup_cell(const std::optional<TuningRecord>& record) {
  const auto speedup = record ? speedup_of(*record) : std::nullopt;
  return speedup ? fmt::format("{:.3f}x", *speedup) : "-";
}

std::string config_cell(const std::optional<TuningRecord>& record) {
  return record ? to_string(record->config) : "-";
}

Line line_of(const DiffEntry& entry) {
  const double band = std::max(entry.a ? entry.a->band : 0, entry.b ? entry.b->band : 0);
  const TuningKey& key = entry.key();
  return {std::string(to_string(entry.agreement)),
          fmt::format("{}, {}{}", to_string(key.descriptor), to_string(key.bucket),
                      key.basis == TuningBasis::kModelled ? ", modelled" : ""),
          config_cell(entry.a),
          speedup_cell(entry.a),
          config_cell(entry.b),
          speedup_cell(entry.b),
          percent_text(band)};
}

std::string table_text(const std::vector<Line>& lines) {
  std::array<std::size_t, std::tuple_size_v<Line>> widths{};
  for (const Line& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const Line& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) row += fmt::format("{:<{}}  ", line[i], widths[i]);
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

nlohmann::ordered_json json_of(const std::optional<TuningRecord>& record) {
  if (!record) return nullptr;
  const auto speedup = speedup_of(*record);
  return {{"config", to_string(record->config)},
          {"default_config", to_string(record->default_config)},
          {"seconds", record->seconds},
          {"default_seconds", record->default_seconds},
          {"speedup", speedup ? nlohmann::ordered_json(*speedup) : nlohmann::ordered_json(nullptr)},
          {"band", record->band},
          {"rounds", record->rounds},
          {"date", record->provenance.date}};
}

nlohmann::ordered_json json_of(const DiffEntry& entry) {
  const TuningKey& key = entry.key();
  nlohmann::ordered_json json = {{"agreement", to_string(entry.agreement)},
                                 {"basis", to_string(key.basis)},
                                 {"gpu", key.gpu.name},
                                 {"descriptor", to_string(key.descriptor)},
                                 {"bucket", to_string(key.bucket)},
                                 {"method", key.method},
                                 {"templates", key.templates},
                                 {"a", json_of(entry.a)},
                                 {"b", json_of(entry.b)},
                                 {"distance", nullptr}};
  if (entry.a && entry.b)
    if (const auto distance = distance_of(*entry.a, *entry.b)) json["distance"] = *distance;
  return json;
}

}  // namespace

std::string diff_text(const TuningDiff& diff, bool all) {
  const std::size_t only_a = diff.count(Agreement::kOnlyInA), only_b = diff.count(Agreement::kOnlyInB);
  std::string text =
      fmt::format("A                {}: {}\nB                {}: {}\n", diff.name_a,
                  count_text(static_cast<double>(diff.in_both() + only_a), "answer", "answers"), diff.name_b,
                  count_text(static_cast<double>(diff.in_both() + only_b), "answer", "answers"));
  for (const Agreement agreement : {Agreement::kSameWinner, Agreement::kWithinBand, Agreement::kBeyondBand,
                                    Agreement::kOnlyInA, Agreement::kOnlyInB})
    text += fmt::format("{:<16} {}\n", to_string(agreement), diff.count(agreement));
  text += diff.agreement()
              ? fmt::format("agreement        {} of {} in both\n", percent_text(*diff.agreement()), diff.in_both())
              : "agreement        nothing is in both\n";
  std::vector<Line> lines = {{"", "problem", "winner in A", "speed-up", "winner in B", "speed-up", "band"}};
  for (const Agreement agreement : kReadingOrder)
    for (const DiffEntry& entry : diff.entries)
      if (entry.agreement == agreement && (all || agreement != Agreement::kSameWinner)) lines.push_back(line_of(entry));
  return lines.size() == 1 ? text : text + "\n" + table_text(lines);
}

nlohmann::ordered_json diff_json(const TuningDiff& diff) {
  nlohmann::ordered_json json = {{"a", diff.name_a}, {"b", diff.name_b}, {"counts", nlohmann::ordered_json::object()}};
  for (std::size_t i = 0; i < kAgreements; ++i) {
    std::string name(to_string(static_cast<Agreement>(i)));
    std::ranges::replace(name, ' ', '_');
    json["counts"][name] = diff.count(static_cast<Agreement>(i));
  }
  json["in_both"] = diff.in_both();
  json["agreement"] = nullptr;
  if (const auto agreement = diff.agreement()) json["agreement"] = *agreement;
  json["entries"] = nlohmann::ordered_json::array();
  for (const DiffEntry& entry : diff.entries) json["entries"].push_back(json_of(entry));
  return json;
}

}  // namespace flashmask::tuning_report
