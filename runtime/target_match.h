#pragma once

#include <optional>
#include <string>

#include "flashmask/device.h"

namespace flashmask {

/// Why code of the target cannot run on the device, saying what the device takes; nothing if it can. A GPU takes its
/// own architecture and older ones of the same major version; architecture-specific code ("a") takes exactly its own
/// GPU. The emulator takes every target: it runs the PTX.
std::optional<std::string> refuse_target(Target code, const DeviceProperties& device);

}  // namespace flashmask
