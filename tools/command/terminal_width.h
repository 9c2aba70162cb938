#pragma once

namespace flashmask::command {

/// Characters of a line on standard output: the variable COLUMNS, else what the terminal says, else 80.
int terminal_width();

}  // namespace flashmask::command
