#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/file_system.h"
#include "cache/lookup.h"
#include "cache/mapped_file.h"
#include "cache/pack_format.h"

namespace flashmask::cache {

/// Many entries in one file, for shipping: made once, read by many, never changed. pack_format.h draws it.
///
/// The bytes may be hostile. Opening looks at the index alone, whose checksum covers where every entry lies and what
/// its checksum is; an entry is verified when it is looked up, by the checks of a file of its own. What is served was
/// complete, unchanged, and accepted by the validator; it lies in the pack, not copied, and keeps it alive.
///
/// A pack on disk is replaced by renaming another file over it and never written in place: see MappedFile. A lookup
/// notices a file that has changed its length or time since it was opened, and serves nothing from it.
///
/// Immutable and thread-safe.
class Pack {
 public:
  /// A pack, or why there is none: exactly one of `pack` and `refusal` is filled.
  struct Opening {
    std::shared_ptr<const Pack> pack;
    MissReason reason = MissReason::kAbsent;  ///< meaningful only without a pack
    std::string refusal;                      ///< names the pack and, where there is one, the command that mends it
  };

  /// Maps the pack at `path`, judged as MappedFile::open() does. Throws only for want of memory.
  static Opening open(const std::string& path, FileSystem& files = FileSystem::real());
  /// A pack in memory of the caller's, who keeps it alive and unchanged as long as the pack and every entry taken from
  /// it. `name` stands for it in messages. Entries are copied out if the bytes are not 16-byte aligned.
  static Opening from_memory(std::span<const std::byte> bytes, std::string name);

  /// The entry of `digest` that the policy wants and the validator accepts; of several, the one whose tag is the
  /// greatest version. If it is no good, the next one is tried; the reason told is the first one's.
  LookupResult lookup(const Digest& digest, const TagPolicy& policy, const Validator& validator = {}) const;

  /// The index, sorted by digest, then tag.
  const std::vector<PackRecord>& records() const { return records_; }
  /// The entry of a record of this pack, verified.
  LookupResult read(const PackRecord& record, const Validator& validator = {}) const;

  /// The path that it was opened by, or the name that it was given.
  const std::string& name() const { return name_; }
  std::size_t bytes() const { return bytes_.size(); }

 private:
  Pack() = default;

  std::string name_;
  std::shared_ptr<const MappedFile> file_;  // null: the memory is the caller's
  std::span<const std::byte> bytes_;
  std::vector<PackRecord> records_;
};

}  // namespace flashmask::cache
