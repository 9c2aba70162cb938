#pragma once

#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"

namespace flashmask::command {

/// The version of what --json prints: it grows by fields; a field that goes or changes its meaning raises it.
inline constexpr int kSchema = 1;

nlohmann::ordered_json json_of(const KernelResources& resources);
nlohmann::ordered_json json_of(const TileConfig& config);
nlohmann::ordered_json json_of(const KernelDescriptor& descriptor);

}  // namespace flashmask::command
