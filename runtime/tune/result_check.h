#pragma once

#include "flashmask/runtime.h"

namespace flashmask::tune {

/// Runs the kernel on a small problem that crosses the edges of its tiles, with grouped heads and random intervals, and
/// compares with the fp64 reference: what is wrong as a sentence, empty if nothing is. The runtime is the kernel's.
/// Throws Error as devices do.
std::string check_against_reference(Runtime& runtime, const Kernel& kernel);

}  // namespace flashmask::tune
