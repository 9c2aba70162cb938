#pragma once

#include "emulator/ptx/module.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// What may follow a state space where it stands.
struct DeclarationRules {
  bool several = false;   ///< several names after one type
  bool external = false;  ///< .extern: an array without a bound may stand
  /// Bytes that initial values may still take in this module; null where no variable can have any.
  std::uint64_t* initial_bytes_left = nullptr;
};

/// Parses what follows a state space: `.align 8 .b8 name[4][2] = {…}`. Stops before ';', ',' of a parameter list, or
/// ')'.
std::vector<Variable> parse_variables(TokenStream& tokens, Space space, const DeclarationRules& rules);

}  // namespace flashmask::emulator::ptx
