#pragma once

#include "emulator/ptx/module.h"
#include "emulator/ptx/operand_parser.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Parses what follows `.entry`. `registers_left` is what the module may still declare, and is counted down.
Kernel parse_kernel(TokenStream& tokens, const VariableNames& module_variables, std::size_t& registers_left);

}  // namespace flashmask::emulator::ptx
