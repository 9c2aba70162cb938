#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/inspect/sass_decode.h"

namespace flashmask::sass {

/// A natural loop: its header is on every way into it. Parts of it may lie anywhere in the code.
struct NaturalLoop {
  std::size_t header = 0;  ///< the index of the first instruction
  std::size_t end = 0;     ///< behind the last branch to the header
  /// The instructions of the loop, each behind those that lead to it but for branches back; of two ways of a branch,
  /// that with the lower address first.
  std::vector<std::size_t> instructions;
};

/// The natural loops of a function by header; several branches back to one header are one loop. Where functions are
/// called or branches go to registers, what lies there is looked at as if it were entered from the outside.
std::vector<NaturalLoop> natural_loops(std::span<const Instruction> code);

}  // namespace flashmask::sass
