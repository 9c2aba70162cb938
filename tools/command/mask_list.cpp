#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flashmask/mask_kinds.h"
#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

std::string parameter_text(const MaskParameter& parameter) {
  return parameter.required ? fmt::format("{}={}", parameter.name, parameter.example)
                            : fmt::format("[{}={}]", parameter.name, parameter.default_value);
}

std::string list_text() {
  std::size_t name_width = 0;
  for (const MaskKind& kind : mask_kinds()) name_width = std::max(name_width, kind.name.size());
  std::string text;
  std::string_view group;
  for (const MaskKind& kind : mask_kinds()) {
    if (kind.group != group) text += fmt::format("{}{}\n", text.empty() ? "" : "\n", kind.group);
    group = kind.group;
    text += fmt::format("  {:<{}}  {:<8}  {}\n", kind.name, name_width, kind.form, kind.summary);
    for (const MaskParameter& parameter : kind.parameters) {
      text += fmt::format("      {}: {}\n", parameter_text(parameter), parameter.summary);
    }
  }
  return text;
}

std::string_view type_name(MaskParameterType type) {
  switch (type) {
    case MaskParameterType::kInteger:
      return "integer";
    case MaskParameterType::kIntegers:
      return "integers";
    case MaskParameterType::kSpans:
      return "spans";
    case MaskParameterType::kGroups:
      return "groups";
    case MaskParameterType::kFlag:
      return "flag";
    case MaskParameterType::kAlignment:
      return "alignment";
  }
  return "";
}

nlohmann::ordered_json json_of(const MaskParameter& parameter) {
  nlohmann::ordered_json json = {{"name", parameter.name},
                                 {"type", type_name(parameter.type)},
                                 {"summary", parameter.summary},
                                 {"required", parameter.required}};
  if (!parameter.required) json["default"] = parameter.default_value;
  json["example"] = parameter.example;
  return json;
}

std::string list_json() {
  nlohmann::ordered_json kinds = nlohmann::ordered_json::array();
  for (const MaskKind& kind : mask_kinds()) {
    nlohmann::ordered_json parameters = nlohmann::ordered_json::array();
    for (const MaskParameter& parameter : kind.parameters) parameters.push_back(json_of(parameter));
    kinds.push_back({{"name", kind.name},
                     {"group", kind.group},
                     {"summary", kind.summary},
                     {"form", kind.form},
                     {"permuted", kind.permuted},
                     {"parameters", parameters},
                     {"example_seqlen_q", kind.example_seqlen_q},
                     {"example_seqlen_k", kind.example_seqlen_k}});
  }
  const nlohmann::ordered_json json = {
      {"schema", kSchema}, {"command", "mask list"}, {"version", version()}, {"kinds", kinds}};
  return json.dump(2) + "\n";
}

}  // namespace

ExitCode mask_list(const MaskListArguments& arguments) {
  print_result(arguments.json ? list_json() : list_text());
  return kExitOk;
}

}  // namespace flashmask::command
