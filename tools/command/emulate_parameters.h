#pragma once

#include <cstddef>
#include <vector>

#include "emulator/machine/machine.h"
#include "tools/command/emulate_memory.h"
#include "tools/command/emulate_spec.h"

namespace flashmask::command {

/// Throws Error{kInvalidArgument} unless the spec's parameters are those that the entry declares: as many, each of its
/// size, none with a stricter alignment.
void check_parameters(const std::vector<ParameterSpec>& parameters, const emulator::EntryDeclaration& entry);

/// The bytes of the parameter space, for parameters that passed check_parameters(). Throws Error{kInvalidArgument} for
/// a tensor map that breaks a rule.
std::vector<std::byte> parameter_bytes(const std::vector<ParameterSpec>& parameters,
                                       const emulator::EntryDeclaration& entry, const Addresses& addresses);

}  // namespace flashmask::command
