#pragma once

#include <memory>
#include <string>

#include "emulator/machine/machine.h"
#include "tests/emulator/programs/program.h"

namespace flashmask::emulator::programs {

/// Runs one entry of a parsed theme on a new machine and returns the output. Throws Fault.
Words run_emulated(const Program& parsed, const std::string& entry, const TestProgram& program, const Data& data,
                   const MachineOptions& options);

}  // namespace flashmask::emulator::programs
