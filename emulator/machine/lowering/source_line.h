#pragma once

#include <string>
#include <string_view>

#include "emulator/ptx/lexer.h"

namespace flashmask::emulator {

/// Quotes `line`, the text at `position`, with a mark under the column; of a long line only what is near:
///
///     line 12, column 15: add.s32 %r1, %x2, 3;
///                                      ^
///
/// Both lines are indented by two spaces. What a terminal would not show as one character is a space or '?'.
std::string point_at(std::string_view line, ptx::Position position);

}  // namespace flashmask::emulator
