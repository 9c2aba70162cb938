#pragma once

#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Skips `.loc`, `.file` or `.pragma`, which change nothing that a kernel computes, with all that belongs to it.
/// Returns false, and skips nothing, before any other token.
bool skip_quiet_directive(TokenStream& tokens);

}  // namespace flashmask::emulator::ptx
