#include "tools/command/emulate_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tools/command/emulate_json.h"
#include "tools/command/emulate_parameter_spec.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {
namespace {

constexpr std::size_t kMostParameters = 4096;

/// One to three extents; those that are not given are 1.
void read_extents(const SpecValue& value, std::uint32_t (&extents)[3]) {
  const std::vector<SpecValue> items = value.items(1, 3);
  for (std::size_t i = 0; i < items.size(); ++i) {
    extents[i] = static_cast<std::uint32_t>(items[i].unsigned_integer(1, std::numeric_limits<std::int32_t>::max()));
  }
}

std::vector<std::string> names_of(const std::vector<MemorySpec>& memory) {
  std::vector<std::string> names;
  for (const MemorySpec& each : memory) names.push_back(each.name);
  return names;
}

void require_known(const std::string& name, const SpecValue& where, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  const auto near = nearest_name(name, names);
  where.fail(fmt::format("there is no tensor or buffer {}", safetensors::printable(name)),
             near ? fmt::format("\"{}\" may be meant", *near)
                  : "define it in \"parameters\", or in \"memory\" where it is not itself a parameter");
}

}  // namespace

LaunchSpec parse_launch_spec(std::string_view text, const std::filesystem::path& directory) {
  static const std::vector<std::string> kKeys = {"entry",  "grid",       "block",   "cluster", "cooperative",
                                                 "shared", "parameters", "outputs", "memory"};
  const nlohmann::json json = parse_spec_json(text);
  const SpecValue root(json, "");
  root.allow_keys(kKeys);
  LaunchSpec spec;
  if (const auto entry = root.find("entry")) spec.entry = entry->text();
  read_extents(root.require("grid"), spec.shape.grid);
  read_extents(root.require("block"), spec.shape.block);
  if (const auto cluster = root.find("cluster")) read_extents(*cluster, spec.shape.cluster);
  if (const auto cooperative = root.find("cooperative")) spec.shape.cooperative = cooperative->boolean();
  if (const auto shared = root.find("shared")) {
    spec.shape.dynamic_shared_bytes = shared->unsigned_integer(0, std::numeric_limits<std::int32_t>::max());
  }

  ParameterSpecReader reader(directory);
  if (const auto memory = root.find("memory")) {
    for (const SpecValue& each : memory->items(0, kMostParameters)) reader.read_memory(each);
  }
  for (const SpecValue& each : root.require("parameters").items(0, kMostParameters)) {
    spec.parameters.push_back(reader.read(each));
  }
  spec.memory = reader.memory();

  const std::vector<std::string> names = names_of(spec.memory);
  for (const ParameterSpec& parameter : spec.parameters) {
    for (const ParameterPatch& patch : parameter.patches) {
      require_known(patch.memory, SpecValue(json, patch.where), names);
    }
  }
  if (const auto outputs = root.find("outputs")) {
    for (const SpecValue& each : outputs->items(0, kMostParameters)) {
      spec.outputs.push_back(each.text());
      require_known(spec.outputs.back(), each, names);
      if (std::count(spec.outputs.begin(), spec.outputs.end(), spec.outputs.back()) > 1)
        each.fail("it stands there twice");
    }
  } else {
    for (const MemorySpec& each : spec.memory) {
      if (each.is_buffer()) spec.outputs.push_back(each.name);
    }
  }
  return spec;
}

}  // namespace flashmask::command
