#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "cache/bounded_mutex.h"
#include "cache/byte_lock.h"
#include "cache/clock.h"
#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/file_system.h"
#include "cache/lookup.h"
#include "cache/process_flight.h"
#include "cache/root.h"
#include "cache/store_contents.h"

namespace flashmask::cache {

class EntryFile;
struct EvictionRequest;
struct EvictionResult;

/// What became of a publication. A failure is worth one warning and nothing else: the caller has the bytes.
struct PublishOutcome {
  bool stored = false;
  std::string failure;  // empty if stored

  explicit operator bool() const { return stored; }
};

/// The right to make an entry that is missing, among all processes that share the directory. While it is held, others
/// wait for the entry; whoever holds it publishes the entry and then lets the claim end. Not thread-safe; its store
/// must outlive it.
struct Claim {
  Turn turn;
  LookupResult found;  // of Turn::kServed: the entry, which somebody else has published meanwhile
  ByteLock lock;       // of Turn::kHeld
};

/// A snapshot of what a store did.
struct StoreCounters {
  std::uint64_t hits = 0;
  std::array<std::uint64_t, kMissReasons> misses_by_reason{};
  std::uint64_t stores = 0;
  std::uint64_t failed_stores = 0;
  std::uint64_t healed = 0;    // corrupt entries removed, so that the next publication is served again
  std::uint64_t touched = 0;   // hits that renewed the time of last use
  std::uint64_t evicted = 0;   // entries removed to stay within the byte limit
  std::uint64_t reaped = 0;    // temporary files removed that killed processes had left
  std::uint64_t waits = 0;     // claims that found another process at work
  std::uint64_t shared = 0;    // waits that ended with the other one's entry
  std::uint64_t timeouts = 0;  // waits that ended with the limit

  std::uint64_t misses() const;
  std::uint64_t misses(MissReason reason) const { return misses_by_reason[static_cast<std::size_t>(reason)]; }
};

struct StoreOptions {
  enum class Access { kReadWrite, kReadOnly };

  /// Absolute. Created (0700) on the first publication. Empty or relative: the store is disabled.
  std::string directory;
  /// A read-only store never writes and never removes: for directories shared or shipped.
  Access access = Access::kReadWrite;
  /// What all entries together may take, in bytes; nullopt: no limit. A publication removes the least recently used
  /// ones to make room. Temporary files are not counted.
  std::optional<std::uint64_t> byte_limit = std::nullopt;
  /// The calls to the operating system, and the time; null: the real ones. Must outlive the store.
  FileSystem* file_system = nullptr;
  Clock* clock = nullptr;
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
  /// goes on with its own bytes; nothing is read back. Makes room before, if there is a byte limit; an entry larger
  /// than the limit is not stored.
  PublishOutcome publish(const EntryView& entry);

  /// To be called after a miss, before an entry is made: the claim of one caller among all processes is held, the
  /// others wait until its entry is there, its claim ends, its process dies, or `wait_limit` is over. Where locks do
  /// not work, everybody goes on at once. An entry that appears is judged like one of lookup(), and counted as a hit.
  Claim claim(const Digest& digest, const TagPolicy& policy, const Validator& validator = {},
              std::chrono::nanoseconds wait_limit = kDefaultWaitLimit);

  /// Why the store cannot be used (no directory chosen, loose permissions …), or nothing. Looks anew at each call until
  /// the directory could be opened once.
  std::optional<std::string> disabled_reason();

  StoreCounters counters() const;

  /// What there is: each file is judged as a lookup would, by its first bytes at most. Nothing is healed or counted.
  StoreContents list();
  /// The same, with each file read in full and the validator asked.
  StoreContents verify(const Validator& validator = {});
  /// Removes a file that was listed, whatever its defect, unless it was replaced, used or changed since.
  Removal remove(const StoredFile& file);
  /// Removes the least recently used entries until `limit` bytes are left, and stale temporary files.
  Removal collect(std::uint64_t limit);
  /// Removes all entries, whole or damaged, and stale temporary files. What is not ours stays: strays, other versions,
  /// links, files of other users.
  Removal clear();

  const std::string& directory() const { return options_.directory; }
  /// Where the entry of a digest and a valid tag lies, relative to directory(): "v1/ab/ab…-tag".
  static std::string entry_path(const Digest& digest, std::string_view tag);

 private:
  struct Found {
    LookupResult result;
    bool stale = false;  // the open root is no longer the directory of that name
  };

  /// The right to change how much there is, among the threads of this store and among processes, as far as it can be
  /// had: held while room is made and until the entry has its name.
  struct Room {
    std::unique_lock<BoundedMutex> thread_lock;
    ByteLock process_lock;
    bool made = true;  // false: entries that could not be removed fill the limit
  };

  RootResult root(bool create);
  void forget_root(const std::shared_ptr<const Root>& stale);
  std::string version_path() const;
  bool is_writable() const { return options_.access == StoreOptions::Access::kReadWrite; }

  LookupResult find(const Digest& digest, const TagPolicy& policy, const Validator& validator);
  Found find_below(const Root& root, const Digest& digest, const TagPolicy& policy, const Validator& validator);
  Found read_entry(int folder, const Digest& digest, std::string_view tag, const Validator& validator);
  void touch_hourly(const EntryFile& file);
  std::string try_publish(const EntryView& entry);
  Room enter_room(const Root& root);
  Room make_room(const Root& root, const EvictionRequest& request);
  std::shared_ptr<const Root> root_for_removal(Removal& removal);
  StoreContents contents(bool in_full, const Validator& validator);
  EvictionResult sweep(const Root& root, const EvictionRequest& request);

  StoreOptions options_;
  std::string permanent_refusal_;
  FileSystem& files_;
  Clock& clock_;
  std::mutex root_mutex_;
  std::shared_ptr<const Root> root_;
  BoundedMutex room_mutex_;
  std::atomic<bool> swept_{false};  // temporary files, by a store without a byte limit

  std::atomic<std::uint64_t> hits_{0};
  std::array<std::atomic<std::uint64_t>, kMissReasons> misses_{};
  std::atomic<std::uint64_t> stores_{0};
  std::atomic<std::uint64_t> failed_stores_{0};
  std::atomic<std::uint64_t> healed_{0};
  std::atomic<std::uint64_t> touched_{0};
  std::atomic<std::uint64_t> evicted_{0};
  std::atomic<std::uint64_t> reaped_{0};
  std::atomic<std::uint64_t> waits_{0};
  std::atomic<std::uint64_t> shared_{0};
  std::atomic<std::uint64_t> timeouts_{0};
};

}  // namespace flashmask::cache
