#include "tests/emulator/programs/run.h"

#include <stdexcept>

#include "emulator/machine/tensor_map.h"

namespace flashmask::emulator::programs {
namespace {

void append(std::vector<std::byte>& parameters, std::span<const std::byte> value) {
  parameters.insert(parameters.end(), value.begin(), value.end());
}

/// The maps, which are multiples of their alignment, then the pointers.
std::vector<std::byte> parameters_of(const Data& data, const std::vector<Address>& pointers) {
  std::vector<std::byte> parameters;
  for (const MappedTensor& each : data.maps) {
    TensorMap map = each.map;
    map.address = pointers[each.buffer];
    std::string broken_rule;
    append(parameters, encode(map, broken_rule));
    if (!broken_rule.empty()) throw std::invalid_argument("a tensor map: " + broken_rule);
  }
  append(parameters, std::as_bytes(std::span(pointers)));
  return parameters;
}

}  // namespace

Words run_emulated(const Program& parsed, const std::string& entry, const TestProgram& program, const Data& data,
                   const MachineOptions& options) {
  Machine machine(options);
  std::vector<Address> pointers;
  for (const Words& input : data.inputs) {
    pointers.push_back(machine.allocate(input.size() * sizeof(std::uint32_t)));
    machine.write(pointers.back(), std::as_bytes(std::span(input)));
  }
  pointers.push_back(machine.allocate(data.expected.size() * sizeof(std::uint32_t)));
  if (!data.initial.empty()) machine.write(pointers.back(), std::as_bytes(std::span(data.initial)));
  machine.launch(parsed, entry, program.shape, parameters_of(data, pointers));
  Words output(data.expected.size());
  machine.read(std::as_writable_bytes(std::span(output)), pointers.back());
  return output;
}

}  // namespace flashmask::emulator::programs
