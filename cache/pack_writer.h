#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/digest.h"
#include "cache/entry.h"

namespace flashmask::cache {

/// Which entry is to be packed.
struct PackName {
  Digest digest;
  std::string tag;
};

struct PackOptions {
  /// Sections that are left out of every entry; one that an entry does not have is no error.
  std::vector<std::string> drop_sections;
  /// Called after each step, of 2 * names in all. May throw, to stop.
  std::function<void(std::size_t done, std::size_t all)> progress;
};

struct PackSize {
  std::size_t entries = 0;
  std::uint64_t bytes = 0;
};

/// Why there is no pack: a name is there twice, a limit of packs is exceeded, or the source gave another entry than it
/// was asked for or gave before.
class PackError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Gives the entry of a name, with that digest and tag. May throw.
using EntrySource = std::function<Entry(const PackName& name)>;

/// Writes a pack into a file that the caller commits; equal entries give equal bytes, in whatever order they are named.
/// Each entry is asked for twice, first for the index and then for its bytes, so that no two of them have to be in
/// memory at once.
///
/// Throws PackError, and what the source and the progress throw. Failures to write are kept by the file.
PackSize write_pack(AtomicFile& file, std::vector<PackName> names, const EntrySource& source,
                    const PackOptions& options = {});

}  // namespace flashmask::cache
