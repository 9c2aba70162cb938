#pragma once

#include <string>

#include "flashmask/manifest.h"

namespace flashmask {

/// What a manifest of this library begins with.
std::string manifest_head();

/// One table of one kernel, without an empty line in it. Its last line names the target, so that a table that is cut
/// short lacks a key that it must have, or is whole.
std::string to_table(const KernelRequest& request);

}  // namespace flashmask
