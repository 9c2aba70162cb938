#pragma once

#include "emulator/ptx/module.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Parses what follows a state space: `.align 8 .b8 name[4][2] = {…}`, several names after one type included. Stops
/// before ';', ',' of a parameter list, or ')'.
std::vector<Variable> parse_variables(TokenStream& tokens, Space space, bool several);

}  // namespace flashmask::emulator::ptx
