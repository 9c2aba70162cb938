#include "runtime/mask/argument_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "flashmask/error.h"

namespace flashmask {
namespace {

std::optional<int> parse_integer(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  if (text.empty()) return parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// "5" or "4x16", four times 16; false for anything else. No list is longer than the longest sequence: a slip of the
/// finger must not fill the memory.
bool append_integers(std::string_view text, std::vector<int>& values) {
  const std::size_t times = text.find('x');
  const std::optional<int> count = times == std::string_view::npos ? 1 : parse_integer(text.substr(0, times));
  const std::optional<int> value = parse_integer(times == std::string_view::npos ? text : text.substr(times + 1));
  if (!count || !value || *count < 0) return false;
  if (values.size() + static_cast<std::size_t>(*count) > static_cast<std::size_t>(Mask::kMaxSeqlen)) return false;
  values.insert(values.end(), static_cast<std::size_t>(*count), *value);
  return true;
}

std::string parameter_list(const MaskKind& kind) {
  if (kind.parameters.empty()) return fmt::format("kind {} has no parameters", kind.name);
  std::string list = fmt::format("the parameters of {} are", kind.name);
  for (const MaskParameter& parameter : kind.parameters) {
    list += fmt::format("{}{}{}", &parameter == kind.parameters.data() ? " " : ", ", parameter.name,
                        parameter.required ? " (required)" : "");
  }
  return list;
}

const MaskParameter* find(const MaskKind& kind, std::string_view name) {
  const auto found = std::find_if(kind.parameters.begin(), kind.parameters.end(),
                                  [&](const MaskParameter& parameter) { return parameter.name == name; });
  return found == kind.parameters.end() ? nullptr : &*found;
}

}  // namespace

ArgumentReader::ArgumentReader(const MaskKind& kind, const MaskArguments& arguments)
    : kind_(kind), arguments_(arguments) {
  for (const auto& [name, text] : arguments) {
    if (find(kind, name) == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("mask kind {} has no parameter {}: {}", kind.name, name, parameter_list(kind)));
    }
  }
  for (const MaskParameter& parameter : kind.parameters) {
    if (parameter.required && !arguments.contains(parameter.name)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("mask kind {} needs the parameter {} ({}): {}", kind.name, parameter.name,
                              parameter.summary, parameter_list(kind)),
                  fmt::format("for example {}={}", parameter.name, parameter.example));
    }
  }
}

std::string_view ArgumentReader::text(std::string_view name) const {
  const auto given = arguments_.find(name);
  if (given != arguments_.end()) return given->second;
  const MaskParameter* parameter = find(kind_, name);
  if (parameter == nullptr) {
    throw Error(ErrorCode::kInternal, fmt::format("mask kind {} does not declare {}", kind_.name, name));
  }
  return parameter->default_value;
}

void ArgumentReader::refuse(std::string_view name, std::string_view syntax) const {
  const MaskParameter* parameter = find(kind_, name);
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} = \"{}\" of mask kind {}: {} is needed", name, text(name), kind_.name, syntax),
              parameter == nullptr || parameter->example.empty()
                  ? ""
                  : fmt::format("for example {}={}", name, parameter->example));
}

int ArgumentReader::integer(std::string_view name) const {
  const std::optional<int> value = parse_integer(text(name));
  if (!value) refuse(name, "an integer");
  return *value;
}

bool ArgumentReader::flag(std::string_view name) const {
  const std::string_view value = text(name);
  if (value != "0" && value != "1") refuse(name, "0 or 1");
  return value == "1";
}

CausalAlignment ArgumentReader::alignment(std::string_view name) const {
  const std::optional<CausalAlignment> value = parse_causal_alignment(text(name));
  if (!value) refuse(name, "bottom-right or top-left");
  return *value;
}

std::vector<int> ArgumentReader::integers(std::string_view name) const {
  std::vector<int> values;
  for (const std::string_view part : split(text(name), ',')) {
    if (!append_integers(part, values)) refuse(name, "a list of integers such as 5,7,4x16 (four times 16)");
  }
  return values;
}

std::vector<masks::TokenSpan> ArgumentReader::spans(std::string_view name) const {
  std::vector<masks::TokenSpan> spans;
  for (const std::string_view part : split(text(name), ',')) {
    const std::size_t colon = part.find(':');
    const std::optional<int> first = parse_integer(part.substr(0, colon));
    const std::optional<int> end =
        colon == std::string_view::npos ? std::nullopt : parse_integer(part.substr(colon + 1));
    if (!first || !end) refuse(name, "a list of spans such as 0:4,9:12 (positions 0 to 3 and 9 to 11)");
    spans.push_back({*first, *end});
  }
  return spans;
}

std::vector<std::vector<int>> ArgumentReader::groups(std::string_view name) const {
  std::vector<std::vector<int>> groups;
  for (const std::string_view part : split(text(name), ',')) {
    std::vector<int>& group = groups.emplace_back();
    bool legal = !part.empty();
    for (const std::string_view number : split(part, '/')) legal = legal && append_integers(number, group);
    if (!legal) refuse(name, "a list of integers joined by slashes such as 6/4/3,5/2");
  }
  return groups;
}

}  // namespace flashmask
