#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/digest.h"
#include "cache/file_identity.h"
#include "cache/lookup.h"

namespace flashmask::cache {

/// A file in the place of an entry, as list() and verify() found it.
struct StoredFile {
  Digest digest;
  std::string toolchain_tag;
  std::string path;  // relative to the store's directory: "v1/ab/ab…-tag"
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point last_used;  // or published; exact to an hour
  std::optional<MissReason> defect;                 // why a lookup would not serve it
  std::string detail;                               // of the defect
  FileIdentity identity;
};

/// What lies in a store.
struct StoreContents {
  std::vector<StoredFile> files;    // by digest; of one digest, the newest toolchain first
  std::vector<std::string> strays;  // names that are nobody's, relative to the directory; never touched
  std::uint64_t temporary_files = 0;
  std::uint64_t temporary_bytes = 0;
  std::string failure;  // why there may be more than is told here; empty: nothing was left out

  std::uint64_t bytes() const;  // of files
};

/// What a removal did.
struct Removal {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t temporary_files = 0;  // that killed processes had left
  std::uint64_t kept = 0;             // not removed although asked for: changed since it was listed, or not ours
  std::string failure;                // why something could not be done; empty: all was
};

}  // namespace flashmask::cache
