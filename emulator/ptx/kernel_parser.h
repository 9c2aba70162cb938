#pragma once

#include "emulator/ptx/module.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Parses an entry from its name to the closing brace. `module_variables` are the names that the body may use.
Kernel parse_kernel(TokenStream& tokens, const std::vector<Variable>& module_variables);

}  // namespace flashmask::emulator::ptx
