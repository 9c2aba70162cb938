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
  /// The temporary file that the incoming entry still is; "" for none. It stays, and its time, which is the file
  /// server's, is the present: by another clock, everybody's temporary files might be an hour old.
  std::string incoming_temporary;
  std::chrono::system_clock::time_point now;  // without such a file
};

struct EvictionResult {
  std::uint64_t evicted = 0;  // entries
  std::uint64_t evicted_bytes = 0;
  std::uint64_t reaped = 0;      // temporary files
  std::uint64_t kept_bytes = 0;  // of entries, without the incoming one
  std::uint64_t failed = 0;      // removals that the system refused
  bool fits = true;              // the rest and the incoming entry are within the limit
};

/// Removes entries, the least recently used first, until the rest and the incoming one are within the limit, and stale
/// temporary files. An entry that was used or replaced since it was listed stays, and so does whatever is no entry of
/// ours. What cannot be removed may leave more than fits.
///
/// Under a limit the incoming entry is given a time after those of all others, so that entries go in the order in which
/// they were published, however coarse the file server's clock is.
EvictionResult evict(FileSystem& files, const Root& root, const std::string& path, const Inventory& inventory,
                     const EvictionRequest& request);

}  // namespace flashmask::cache
