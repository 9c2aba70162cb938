#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask {

/// The sections of a cache entry.
inline constexpr std::string_view kCubinSection = "cubin";
inline constexpr std::string_view kPtxSection = "ptx";

/// What an entry says of its kernel, as readable JSON in front of the images.
struct KernelRecord {
  KernelDescriptor descriptor;
  TileConfig config;
  std::string entry;
  KernelResources resources;
  double compile_seconds = 0;
  std::string toolchain;
  std::string log;

  friend bool operator==(const KernelRecord&, const KernelRecord&);
};

/// Equal records give equal text.
std::string to_json(const KernelRecord& record);

/// The inverse; nothing, with the reason in `why`, for text of another schema or with a value that is missing or of the
/// wrong type. The text may be hostile.
std::optional<KernelRecord> parse_record(std::string_view json, std::string& why);

}  // namespace flashmask
