#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "flashmask/kernel_record.h"

namespace flashmask {

/// The sections of a cache entry.
inline constexpr std::string_view kCubinSection = "cubin";
inline constexpr std::string_view kPtxSection = "ptx";

/// A record as readable JSON, as it stands in front of an entry's images. Equal records give equal text.
std::string to_json(const KernelRecord& record);

/// The inverse; nothing, with the reason in `why`, for text of another schema or with a value that is missing or of the
/// wrong type. The text may be hostile.
std::optional<KernelRecord> parse_record(std::string_view json, std::string& why);

}  // namespace flashmask
