#pragma once

#include <string>

#include "flashmask/runtime.h"

namespace flashmask {

/// The command that compiles a kernel into the cache, to be pasted into a shell: "flashmask compile --pass …".
/// The tile configuration is named only where it is not the default, and then whole.
std::string precompile_command(const KernelDescriptor& descriptor, const TileConfig& config);

}  // namespace flashmask
