#pragma once

#include <span>

#include "emulator/ptx/module.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Parses the initial values of `variable`, which follow the '='. `bounds` are its array dimensions, the lanes of a
/// vector type the last of them; the first may be 0, which gives the variable the size of its values. Braces may leave
/// out the ends of rows, and the rest is zero.
void parse_initialiser(TokenStream& tokens, Variable& variable, std::span<const std::uint64_t> bounds);

}  // namespace flashmask::emulator::ptx
