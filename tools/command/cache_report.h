#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "flashmask/kernel_cache.h"

namespace flashmask::command {

/// "203.1 KiB".
std::string size_text(std::uint64_t bytes);
/// "2026-11-27 04:41" in UTC.
std::string time_text(std::chrono::system_clock::time_point time);

/// A table of the sound kernels, then what is broken.
std::string entries_text(const CacheContents& contents);
/// What lies beside the kernels: strays, temporary files, what could not be looked at. May be empty.
std::string remainder_text(const CacheContents& contents);
std::string removal_text(const CacheRemoval& removal);

nlohmann::ordered_json json_of(const CacheEntry& entry);
nlohmann::ordered_json json_of(const CacheContents& contents);
nlohmann::ordered_json json_of(const CacheRemoval& removal);
/// The fields that every report begins with; `command`: "cache list".
nlohmann::ordered_json begin_json(std::string_view command);
/// A report as it is printed.
std::string finished_json(const nlohmann::ordered_json& json);

}  // namespace flashmask::command
