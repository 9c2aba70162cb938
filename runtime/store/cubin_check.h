#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "flashmask/kernel_descriptor.h"

namespace flashmask {

/// Why the bytes are not a loadable image of `entry` for `target`, or nothing. The bytes may be hostile: every offset
/// is checked before it is followed. Looks at the ELF header and tables, the CUDA machine and ABI (7 and 8), the
/// architecture in the flags and, where the image carries ptxas' note, its exact name ("sm_90" is not "sm_90a").
std::optional<std::string> refuse_cubin(std::span<const std::byte> cubin, Target target, const std::string& entry);

}  // namespace flashmask
