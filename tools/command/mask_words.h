#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/command/mask_source.h"

namespace flashmask::command {

// How the mask commands speak of a mask.

/// "causal-documents: a row sees …" of a kind, the name of a file.
std::string title_text(const NamedMask& source);
/// "c1 bottom-right, 96 queries x 96 keys, batch 1, 1 mask head".
std::string shape_text(const MaskShape& shape);
/// The same as JSON.
nlohmann::ordered_json json_of(const NamedMask& source);

}  // namespace flashmask::command
