#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cache/file_system.h"
#include "cache/inventory.h"
#include "cache/root.h"

namespace flashmask::cache {

/// A temporary file that nobody has written to for so long was left by a process that was killed.
inline constexpr std::chrono::hours kStaleTemporaryAge{1};

struct EvictionRequest {
  /// What all entries may take together, in bytes, the incoming one included; nullopt: no limit.
  std::optional<std::uint64_t> limit;
  /// An entry that is about to get its name: neither counted (it is replaced) nor removed. "" for none.
  std::string incoming_name;
  std::uint64_t incoming_bytes = 0;
  std::chrono::system_clock::time_point now;
};

struct EvictionResult {
  std::uint64_t evicted = 0;  // entries
  std::uint64_t evicted_bytes = 0;
  std::uint64_t reaped = 0;      // temporary files
  std::uint64_t kept_bytes = 0;  // of entries, without the incoming one
  std::uint64_t failed = 0;      // removals that the system refused
};

/// Removes entries, the least recently used first, until the rest and the incoming one are within the limit, and stale
/// temporary files. An entry that was used or replaced since it was listed stays, and so does whatever is no entry of
/// ours. Failures leave more than the limit and are counted.
EvictionResult evict(FileSystem& files, const Root& root, const std::string& path, const Inventory& inventory,
                     const EvictionRequest& request);

}  // namespace flashmask::cache
