#pragma once

#include <string>

#include "flashmask/runtime.h"

namespace flashmask {

/// The command that compiles a kernel into the cache, to be pasted into a shell: "flashmask compile --pass …".
/// The tile configuration is named only where it is not the default, and then whole.
std::string precompile_command(const KernelDescriptor& descriptor, const TileConfig& config);

/// What to do when a kernel is not in the cache and the policy forbids to compile it: the command that compiles it,
/// whatever the environment of the shell says, into the cache that the policy reads and by a toolchain that it takes.
std::string precompile_hint(const Policy& policy, const KernelDescriptor& descriptor, const TileConfig& config);

}  // namespace flashmask
