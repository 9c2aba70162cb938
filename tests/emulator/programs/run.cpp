#include "tests/emulator/programs/run.h"

#include <cstring>

namespace flashmask::emulator::programs {

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
  machine.launch(parsed, entry, program.shape, std::as_bytes(std::span(pointers)));
  Words output(data.expected.size());
  machine.read(std::as_writable_bytes(std::span(output)), pointers.back());
  return output;
}

}  // namespace flashmask::emulator::programs
