#include "tools/command/emulate_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "flashmask/error.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {
namespace {

using nlohmann::json;

constexpr std::size_t kShownValue = 60;
constexpr int kMostDepth = 64;

[[noreturn]] void refuse_text(std::string_view text, std::size_t position, std::string_view problem) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t start = before.rfind('\n');
  const std::size_t column = 1 + before.size() - (start == std::string_view::npos ? 0 : start + 1);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("launch spec: line {}, column {}: {}", line, column, problem),
              "flashmask emulate --spec-help shows what a launch spec looks like");
}

/// Refuses a key that its object has had already, of which the parser would silently keep the last, and a depth that
/// would cost the stack of whatever walks over the values.
class Strictness {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMostDepth) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("launch spec: its values nest deeper than {}", kMostDepth));
    }
    if (event == json::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == json::parse_event_t::key && !open_.back().insert(parsed.get<std::string>()).second) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("launch spec: the key {} stands twice in one object",
                              safetensors::printable(parsed.get<std::string>())),
                  "keep one of the two");
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> open_;
};

/// Insertions, deletions and replacements that make one of the other.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string shown(const json& value) {
  if (value.is_string()) return safetensors::printable(value.get_ref<const std::string&>());
  if (value.is_object()) return "{…}";
  if (value.is_array() && value.size() > 12) return fmt::format("[… {} values …]", value.size());
  const std::string text = value.dump();
  return text.size() > kShownValue ? text.substr(0, kShownValue) + "…" : text;
}

}  // namespace

json parse_spec_json(std::string_view text) {
  // The parser takes a zero byte for the end of its input and would accept anything behind it.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    refuse_text(text, zero, "a zero byte is not JSON");
  }
  try {
    Strictness strictness;
    return json::parse(text.begin(), text.end(), std::ref(strictness));
  } catch (const json::parse_error& error) {
    refuse_text(text, error.byte == 0 ? 0 : error.byte - 1, "this is not valid JSON");
  } catch (const json::out_of_range&) {
    throw Error(ErrorCode::kInvalidArgument, "launch spec: it holds a number that is too large for 64 bits");
  }
}

std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> candidates) {
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
  if (word.size() > kShownValue) return std::nullopt;
  for (const std::string& each : candidates) {
    const std::size_t distance = edit_distance(word, each);
    if (distance < least) {
      least = distance;
      nearest = &each;
    }
  }
  return nearest == nullptr ? std::nullopt : std::optional(*nearest);
}

std::string SpecValue::text() const {
  if (!json_->is_string() || json_->get_ref<const std::string&>().empty()) refuse("a string");
  return json_->get<std::string>();
}

bool SpecValue::boolean() const {
  if (!json_->is_boolean()) refuse("true or false");
  return json_->get<bool>();
}

std::uint64_t SpecValue::unsigned_integer(std::uint64_t least, std::uint64_t most) const {
  if (!json_->is_number_unsigned() || json_->get<std::uint64_t>() < least || json_->get<std::uint64_t>() > most) {
    refuse(fmt::format("an integer from {} to {}", least, most));
  }
  return json_->get<std::uint64_t>();
}

std::int64_t SpecValue::signed_integer(std::int64_t least, std::int64_t most) const {
  const bool too_large =
      json_->is_number_unsigned() &&
      json_->get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!json_->is_number_integer() || too_large || json_->get<std::int64_t>() < least ||
      json_->get<std::int64_t>() > most) {
    refuse(fmt::format("an integer from {} to {}", least, most));
  }
  return json_->get<std::int64_t>();
}

double SpecValue::real() const {
  if (json_->is_number()) return json_->get<double>();
  if (*json_ == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (*json_ == "inf") return std::numeric_limits<double>::infinity();
  if (*json_ == "-inf") return -std::numeric_limits<double>::infinity();
  refuse("a number, \"nan\", \"inf\" or \"-inf\"");
}

std::vector<SpecValue> SpecValue::items(std::size_t least, std::size_t most) const {
  if (!json_->is_array() || json_->size() < least || json_->size() > most) {
    refuse(least == most ? fmt::format("an array of {}", least) : fmt::format("an array of {} to {}", least, most));
  }
  std::vector<SpecValue> result;
  for (std::size_t i = 0; i < json_->size(); ++i) result.emplace_back((*json_)[i], fmt::format("{}[{}]", where_, i));
  return result;
}

void SpecValue::allow_keys(std::span<const std::string> allowed) const {
  if (!json_->is_object()) refuse("an object");
  for (const std::string& key : keys()) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    const std::optional<std::string> near = nearest_name(key, allowed);
    fail(fmt::format("unknown key {}; {} are allowed", safetensors::printable(key), fmt::join(allowed, ", ")),
         near ? fmt::format("\"{}\" may be meant", *near) : "");
  }
}

std::vector<std::string> SpecValue::keys() const {
  std::vector<std::string> result;
  for (const auto& item : json_->items()) result.push_back(item.key());
  return result;
}

std::optional<SpecValue> SpecValue::find(const std::string& key) const {
  const auto found = json_->find(key);
  if (found == json_->end()) return std::nullopt;
  return SpecValue(*found, where_.empty() ? key : where_ + "." + key);
}

SpecValue SpecValue::require(const std::string& key) const {
  std::optional<SpecValue> value = find(key);
  if (!value) fail(fmt::format("\"{}\" is missing", key), "flashmask emulate --spec-help shows the whole form");
  return *value;
}

void SpecValue::refuse(std::string_view needed) const {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("launch spec: {}{}{}: {} is needed", where_,
                                                       where_.empty() ? "" : " = ", shown(*json_), needed));
}

void SpecValue::fail(std::string_view problem, const std::string& hint) const {
  throw Error(
      ErrorCode::kInvalidArgument,
      where_.empty() ? fmt::format("launch spec: {}", problem) : fmt::format("launch spec: {}: {}", where_, problem),
      hint);
}

}  // namespace flashmask::command
