#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "flashmask/runtime.h"

namespace flashmask::command {

/// The version of what --json prints: it grows by fields; a field that goes or changes its meaning raises it.
inline constexpr int kSchema = 1;

nlohmann::ordered_json json_of(const KernelResources& resources);
/// A name made of words, as a value of --json: "shared memory" is "shared_memory".
std::string json_name(std::string_view name);

nlohmann::ordered_json json_of(const TargetLimits& limits);
/// `warps`: of a CTA.
nlohmann::ordered_json json_of(const ResourceEstimate& estimate);
nlohmann::ordered_json json_of(const TileConfig& config);
nlohmann::ordered_json json_of(const KernelDescriptor& descriptor);

}  // namespace flashmask::command
