#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/file_system.h"

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

  /// Whether an entry of this toolchain may be served.
  bool wants(std::string_view tag) const;

 private:
  friend class Store;
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

/// The reason for which an entry with this defect is not served.
MissReason reason_of(EntryDefect defect);

/// A reason as a short name for counters and logs: "absent", "corrupt" …
std::string_view name_of(MissReason reason);

/// An entry, or why there is none. `detail` says more for a log line; it is empty for a plain absence.
struct LookupResult {
  std::optional<Entry> entry;
  MissReason reason = MissReason::kAbsent;  // meaningful only without an entry
  std::string detail;

  explicit operator bool() const { return entry.has_value(); }
};

/// What became of a publication. A failure is worth one warning and nothing else: the caller has the bytes.
struct PublishOutcome {
  bool stored = false;
  std::string failure;  // empty if stored

  explicit operator bool() const { return stored; }
};

/// A snapshot of what a store did.
struct StoreCounters {
  std::uint64_t hits = 0;
  std::array<std::uint64_t, kMissReasons> misses_by_reason{};
  std::uint64_t stores = 0;
  std::uint64_t failed_stores = 0;
  std::uint64_t healed = 0;  // corrupt entries removed, so that the next publication is served again

  std::uint64_t misses() const;
  std::uint64_t misses(MissReason reason) const { return misses_by_reason[static_cast<std::size_t>(reason)]; }
};

struct StoreOptions {
  enum class Access { kReadWrite, kReadOnly };

  /// Absolute. Created (0700) on the first publication. Empty or relative: the store is disabled.
  std::string directory;
  /// A read-only store never writes and never removes: for directories shared or shipped.
  Access access = Access::kReadWrite;
  /// The calls to the operating system; null: the real ones. Must outlive the store.
  FileSystem* file_system = nullptr;
};

/// Entries on disk under `directory`/v1. It must never turn a working launch into a failing one: whatever the file
/// system does, a lookup is a hit or a miss with a reason, a publication succeeds or says why not, and neither throws
/// for it. What is served was complete, unchanged, ours and accepted by the validator.
///
/// Thread-safe; any number of processes may share a directory. It holds one descriptor (closed on exec).
class Store {
 public:
  explicit Store(StoreOptions options);
  /// A store that is disabled for `reason`: every lookup misses, every publication fails with it.
  static std::unique_ptr<Store> disabled(std::string reason);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The entry of `digest` that the policy wants and the validator accepts. If the newest is no good, the next one is
  /// tried; the reason told is the first one's. A corrupt entry of ours is removed on the way.
  LookupResult lookup(const Digest& digest, const TagPolicy& policy, const Validator& validator = {});

  /// Publishes an entry: readers see nothing, or all of it. Replaces an entry of the same digest and tag. The caller
  /// goes on with its own bytes; nothing is read back.
  PublishOutcome publish(const EntryView& entry);

  /// Why the store cannot be used (no directory chosen, loose permissions …), or nothing. Looks anew at each call until
  /// the directory could be opened once.
  std::optional<std::string> disabled_reason();

  StoreCounters counters() const;
  const std::string& directory() const { return options_.directory; }
  /// Where the entry of a digest and a valid tag lies, relative to directory(): "v1/ab/ab…-tag".
  static std::string entry_path(const Digest& digest, std::string_view tag);

 private:
  class Root;
  struct RootResult;

  RootResult open_root(bool create);
  RootResult root(bool create);
  void forget_root(const std::shared_ptr<const Root>& stale);
  LookupResult find(const Digest& digest, const TagPolicy& policy, const Validator& validator);
  LookupResult read_entry(const Root& root, const Digest& digest, std::string_view tag, const Validator& validator);
  void heal(const Root& root, const std::string& name, const struct stat& judged);
  std::string try_publish(const EntryView& entry);

  StoreOptions options_;
  std::string permanent_refusal_;
  FileSystem& files_;
  std::mutex root_mutex_;
  std::shared_ptr<const Root> root_;

  std::atomic<std::uint64_t> hits_{0};
  std::array<std::atomic<std::uint64_t>, kMissReasons> misses_{};
  std::atomic<std::uint64_t> stores_{0};
  std::atomic<std::uint64_t> failed_stores_{0};
  std::atomic<std::uint64_t> healed_{0};
};

}  // namespace flashmask::cache
