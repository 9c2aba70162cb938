#include "tools/command/emulate_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <variant>

#include "emulator/machine/tensor_map.h"
#include "flashmask/error.h"

namespace flashmask::command {
namespace {

using emulator::EntryDeclaration;
using emulator::ParameterDeclaration;

std::string declared(const EntryDeclaration& entry) {
  std::string text;
  for (const ParameterDeclaration& each : entry.parameters) {
    text += fmt::format("{}{} ({} bytes)", text.empty() ? "" : ", ", each.name, each.bytes);
  }
  return entry.name + " takes " + (text.empty() ? "none" : text);
}

[[noreturn]] void refuse(const EntryDeclaration& entry, const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, "launch spec: " + problem, declared(entry));
}

template <typename Value>
void store(std::vector<std::byte>& bytes, std::size_t offset, const Value& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

void apply(const ParameterPatch& patch, emulator::Address address, std::vector<std::byte>& bytes, std::size_t start) {
  if (const auto* offset = std::get_if<std::uint64_t>(&patch.value)) {
    store(bytes, start + patch.offset, address + *offset);
    return;
  }
  emulator::TensorMap map = std::get<emulator::TensorMap>(patch.value);
  map.address += address;
  std::string broken_rule;
  const emulator::TensorMapBytes encoded = emulator::encode(map, broken_rule);
  if (!broken_rule.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("launch spec: {}: {}", patch.where, broken_rule));
  }
  store(bytes, start + patch.offset, encoded);
}

}  // namespace

void check_parameters(const std::vector<ParameterSpec>& parameters, const EntryDeclaration& entry) {
  const std::size_t both = std::min(parameters.size(), entry.parameters.size());
  for (std::size_t i = 0; i < both; ++i) {
    const ParameterSpec& given = parameters[i];
    const ParameterDeclaration& wanted = entry.parameters[i];
    const std::string what = fmt::format("{} ({})", given.where, given.kind);
    if (given.bytes.size() != wanted.bytes) {
      refuse(entry, fmt::format("{} has {} bytes, but {} of {} has {}", what, given.bytes.size(), wanted.name,
                                entry.name, wanted.bytes));
    }
    if (given.alignment > wanted.alignment) {
      refuse(entry, fmt::format("{} is aligned to {} bytes, but {} of {} to {}", what, given.alignment, wanted.name,
                                entry.name, wanted.alignment));
    }
  }
  if (parameters.size() != entry.parameters.size()) {
    refuse(entry, fmt::format("{} parameters are given, but {} takes {}", parameters.size(), entry.name,
                              entry.parameters.size()));
  }
}

std::vector<std::byte> parameter_bytes(const std::vector<ParameterSpec>& parameters, const EntryDeclaration& entry,
                                       const Addresses& addresses) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::size_t alignment = entry.parameters[i].alignment;
    const std::size_t start = (bytes.size() + alignment - 1) / alignment * alignment;
    bytes.resize(start);
    bytes.insert(bytes.end(), parameters[i].bytes.begin(), parameters[i].bytes.end());
    for (const ParameterPatch& patch : parameters[i].patches) {
      apply(patch, addresses.find(patch.memory)->second, bytes, start);
    }
  }
  return bytes;
}

}  // namespace flashmask::command
