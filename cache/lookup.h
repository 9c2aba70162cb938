#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cache/entry.h"

namespace flashmask::cache {

/// Which toolchain's entry of a digest is wanted. One digest may be kept once per toolchain that compiled it. The
/// newest is the one of the greatest version (compare_tags), whatever the files' times are.
class TagPolicy {
 public:
  /// The newest toolchain's entry.
  static TagPolicy any() { return {}; }
  /// The entry of exactly this toolchain; found without listing the directory.
  static TagPolicy exact(std::string tag);
  /// The newest toolchain's entry whose tag is accepted (for example: the same major version).
  static TagPolicy matching(std::function<bool(std::string_view tag)> accepts);

  /// The one tag that is wanted; nullopt: any that is accepted.
  const std::optional<std::string>& exact_tag() const { return exact_; }
  bool accepts(std::string_view tag) const { return exact_ ? tag == *exact_ : !accepts_ || accepts_(tag); }

 private:
  TagPolicy() = default;
  std::optional<std::string> exact_;
  std::function<bool(std::string_view)> accepts_;
};

/// Judges the content of a well-formed entry before it is served: nothing if it is fine, else the reason to refuse it.
using Validator = std::function<std::optional<std::string>(const Entry&)>;

/// Why a lookup found nothing to serve.
enum class MissReason {
  kAbsent,            // no entry of this digest
  kOtherToolchain,    // entries there are, but the policy wants none of them
  kDisabled,          // the store cannot be used; see the detail
  kUnreadable,        // the operating system refused: EACCES, EIO, ESTALE …
  kNotARegularFile,   // a symbolic link, a directory, a FIFO … in the place of an entry
  kForeignOwner,      // the file belongs to neither this user nor root
  kLoosePermissions,  // the file may be written by group or others
  kTooLarge,          // over kMaxEntryBytes
  kForeign,           // not our format
  kOtherVersion,      // our format, another version
  kCorrupt,           // our format, truncated or changed; it was removed
  kMalformed,         // checksum right, structure wrong
  kWrongName,         // an entry of another digest or toolchain under this name
  kRefused,           // the validator refused it
};
inline constexpr std::size_t kMissReasons = 14;

/// A reason as a short name for counters and logs: "absent", "corrupt" …
std::string_view name_of(MissReason reason);

/// The reason that a defect of the bytes is counted under.
MissReason reason_of(EntryDefect defect);

/// An entry, or why there is none. `detail` says more for a log line; it is empty for a plain absence.
struct LookupResult {
  std::optional<Entry> entry;
  MissReason reason = MissReason::kAbsent;  // meaningful only without an entry
  std::string detail;

  explicit operator bool() const { return entry.has_value(); }
};

/// A result without an entry.
LookupResult miss(MissReason reason, std::string detail = {});

}  // namespace flashmask::cache
