#include "cache/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <numeric>
#include <utility>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/entry_file.h"
#include "cache/eviction.h"
#include "cache/inventory.h"
#include "cache/layout.h"
#include "cache/tag_order.h"

namespace flashmask::cache {
namespace {

/// How often a hit renews the time of last use: often enough to tell what is in use, seldom enough to cost nothing.
constexpr std::chrono::hours kTouchInterval{1};

/// How long a publication waits for others that make room. Their sweep takes milliseconds; one that was stopped in the
/// middle of it must not stop us, though then there may be an entry more than the limit allows.
constexpr std::chrono::seconds kRoomWaitLimit{5};

/// Whether an open directory has no name any more: it was removed, and perhaps made anew under its old name.
bool is_removed(FileSystem& files, const Root& root) {
  struct stat status{};
  return uninterrupted([&] { return files.status(root.number(), status); }) == 0 && status.st_nlink == 0;
}

}  // namespace

std::uint64_t StoreCounters::misses() const {
  return std::accumulate(misses_by_reason.begin(), misses_by_reason.end(), std::uint64_t{0});
}

Store::Store(StoreOptions options)
    : options_(std::move(options)),
      files_(options_.file_system ? *options_.file_system : FileSystem::real()),
      clock_(options_.clock ? *options_.clock : Clock::real()) {
  if (!options_.directory.starts_with('/') || options_.directory.find('\0') != std::string::npos)
    permanent_refusal_ = fmt::format(
        "the cache directory \"{}\" is not an absolute path; name one that begins with '/'", options_.directory);
  while (options_.directory.size() > 1 && options_.directory.ends_with('/')) options_.directory.pop_back();
}

Store::~Store() = default;

std::unique_ptr<Store> Store::disabled(std::string reason) {
  auto store = std::make_unique<Store>(StoreOptions{});
  store->permanent_refusal_ = std::move(reason);
  return store;
}

std::string Store::entry_path(const Digest& digest, std::string_view tag) {
  return fmt::format("{}/{}/{}", kVersionDirectory, folder_of(digest), file_name_of(digest, tag));
}

std::string Store::version_path() const {
  return fmt::format("{}/{}", options_.directory, kVersionDirectory);
}

RootResult Store::root(bool create) {
  if (!permanent_refusal_.empty()) return {nullptr, permanent_refusal_};
  std::lock_guard lock(root_mutex_);
  if (root_) return {root_, {}};
  RootResult result = open_root(files_, options_.directory, create);
  root_ = result.root;
  return result;
}

void Store::forget_root(const std::shared_ptr<const Root>& stale) {
  std::lock_guard lock(root_mutex_);
  if (root_ == stale) root_ = nullptr;
}

std::optional<std::string> Store::disabled_reason() {
  RootResult result = root(false);
  if (result.refusal.empty()) return std::nullopt;
  return std::move(result.refusal);
}

// ---- reading

LookupResult Store::lookup(const Digest& digest, const TagPolicy& policy, const Validator& validator) {
  LookupResult result = find(digest, policy, validator);
  if (result)
    hits_.fetch_add(1, std::memory_order_relaxed);
  else
    misses_[static_cast<std::size_t>(result.reason)].fetch_add(1, std::memory_order_relaxed);
  return result;
}

LookupResult Store::find(const Digest& digest, const TagPolicy& policy, const Validator& validator) {
  if (policy.exact_tag() && !is_valid_name(*policy.exact_tag()))
    return miss(MissReason::kOtherToolchain, fmt::format("\"{}\" is not a toolchain tag", *policy.exact_tag()));
  for (bool again = false;; again = true) {
    const RootResult opened = root(false);
    if (!opened.refusal.empty()) return miss(MissReason::kDisabled, opened.refusal);
    if (!opened.root) return miss(MissReason::kAbsent);
    Found found = find_below(*opened.root, digest, policy, validator);
    if (!found.stale || again) return std::move(found.result);
    forget_root(opened.root);
  }
}

Store::Found Store::find_below(const Root& root, const Digest& digest, const TagPolicy& policy,
                               const Validator& validator) {
  const std::string folder_name = folder_of(digest);
  const Folder folder = open_folder(files_, root, folder_name, version_path());
  const int number = folder.descriptor.number();
  const auto unreadable = [&](std::string_view what, int failure) {
    return Found{miss(MissReason::kUnreadable,
                      fmt::format("cannot {} {}/{}: {}", what, version_path(), folder_name, words_for(failure))),
                 failure == -ESTALE};
  };
  if (number == -ENOENT) return {miss(MissReason::kAbsent), is_removed(files_, root)};
  if (number < 0) return unreadable("open", number);
  if (!folder.refusal.empty()) return {miss(MissReason::kDisabled, folder.refusal)};
  if (policy.exact_tag()) return read_entry(number, digest, *policy.exact_tag(), validator);

  const std::string prefix = file_name_of(digest, "");
  std::vector<std::string> names;
  const int failure = uninterrupted([&] {
    names.clear();
    return files_.list(number, ".", prefix, names);
  });
  if (failure < 0) return unreadable("list", failure);
  std::vector<std::string> tags;
  for (const std::string& name : names) {
    std::string tag = name.substr(prefix.size());
    if (is_valid_name(tag) && policy.accepts(tag)) tags.push_back(std::move(tag));
  }
  if (tags.empty()) {
    if (names.empty()) return {miss(MissReason::kAbsent)};
    return {miss(MissReason::kOtherToolchain,
                 fmt::format("{} of other toolchains, the first {}", names.size(), names.front()))};
  }
  std::sort(tags.begin(), tags.end(), is_newer_tag);
  std::optional<Found> first;
  for (const std::string& tag : tags) {
    Found found = read_entry(number, digest, tag, validator);
    if (found.result) return found;
    if (!first) first = std::move(found);
  }
  return std::move(*first);
}

Store::Found Store::read_entry(int folder, const Digest& digest, std::string_view tag, const Validator& validator) {
  const std::string name = file_name_of(digest, tag);
  EntryFile file(files_, folder, name);
  LookupResult result = file.defect() ? miss(*file.defect(), file.detail()) : file.read(digest, tag, validator);
  if (result) {
    touch_hourly(file);
    return {std::move(result)};
  }
  // Unless a publisher has replaced it while we read.
  if (result.reason == MissReason::kCorrupt && is_writable() &&
      unlink_judged(files_, folder, name, file.identity()) == Unlinking::kRemoved)
    healed_.fetch_add(1, std::memory_order_relaxed);
  if (!result.detail.empty())
    result.detail = fmt::format("{}/{}: {}", options_.directory, entry_path(digest, tag), result.detail);
  return {std::move(result), file.is_stale()};
}

void Store::touch_hourly(const EntryFile& file) {
  if (!is_writable()) return;
  // A time in the future, by a clock that was wrong, is renewed too: it would keep the entry for as long.
  const auto age = clock_.wall_time() - file.identity().modified();
  if (age < kTouchInterval && age > -kTouchInterval) return;
  if (uninterrupted([&] { return files_.touch(file.descriptor()); }) == 0)
    touched_.fetch_add(1, std::memory_order_relaxed);
}

// ---- one maker among all processes

Claim Store::claim(const Digest& digest, const TagPolicy& policy, const Validator& validator,
                   std::chrono::nanoseconds wait_limit) {
  Claim claim{Turn::kUnlocked, {}, ByteLock(files_)};
  if (!is_writable()) return claim;
  for (bool again = false;; again = true) {
    const RootResult opened = root(true);
    if (!opened.root) return claim;
    claim.lock = ByteLock(files_, opened.root->number(), lock_byte_of(digest));
    if (again || (claim.lock.opened() != -ENOENT && claim.lock.opened() != -ESTALE)) break;
    forget_root(opened.root);
  }
  bool waited = false;
  claim.turn = wait_for_turn(
      claim.lock,
      [&] {
        waited = waited || !claim.lock.is_held();
        claim.found = find(digest, policy, validator);
        return static_cast<bool>(claim.found);
      },
      clock_, wait_limit);
  const bool served = claim.turn == Turn::kServed;
  hits_.fetch_add(served, std::memory_order_relaxed);
  waits_.fetch_add(waited, std::memory_order_relaxed);
  shared_.fetch_add(waited && served, std::memory_order_relaxed);
  timeouts_.fetch_add(claim.turn == Turn::kTimedOut, std::memory_order_relaxed);
  return claim;
}

// ---- writing

PublishOutcome Store::publish(const EntryView& entry) {
  PublishOutcome outcome;
  try {
    outcome.failure = try_publish(entry);
  } catch (const std::exception& error) {  // an entry that cannot be encoded, or no memory for it
    outcome.failure = error.what();
  }
  outcome.stored = outcome.failure.empty();
  (outcome.stored ? stores_ : failed_stores_).fetch_add(1, std::memory_order_relaxed);
  return outcome;
}

/// What went wrong; empty if nothing did.
std::string Store::try_publish(const EntryView& entry) {
  if (!is_writable()) return fmt::format("the cache directory {} is used read-only", options_.directory);
  const std::vector<std::byte> bytes = encode(entry);
  if (options_.byte_limit && bytes.size() > *options_.byte_limit)
    return fmt::format("the entry has {} bytes, more than the {} that the cache {} may hold in all", bytes.size(),
                       *options_.byte_limit, options_.directory);
  const std::string folder_name = folder_of(entry.digest);
  const std::string name = file_name_of(entry.digest, entry.toolchain_tag);

  for (bool again = false;; again = true) {
    const RootResult opened = root(true);
    if (!opened.root)
      return opened.refusal.empty() ? fmt::format("the cache directory {} vanished", options_.directory)
                                    : opened.refusal;
    const Root& root = *opened.root;
    const char* step = "mkdir";
    int error = -uninterrupted([&] { return files_.make_directory_at(root.number(), folder_name.c_str(), S_IRWXU); });
    if (error == 0 || error == EEXIST) {
      const Folder folder = open_folder(files_, root, folder_name, version_path());
      if (!folder.refusal.empty()) return folder.refusal;
      step = "open";
      error = folder.descriptor.number() < 0 ? -folder.descriptor.number() : 0;
      if (error == 0) {
        AtomicFile file(files_, folder.descriptor.number(), name);
        file.write(bytes);
        if (error = file.flush(); error == 0) {
          const Room room = make_room(root, {.limit = options_.byte_limit,
                                             .incoming_name = name,
                                             .incoming_bytes = bytes.size(),
                                             .incoming_temporary = file.temporary_path(),
                                             .now = clock_.wall_time()});
          if (!room.made)
            return fmt::format("the cache {} is full, and what was not used for long cannot be removed",
                               options_.directory);
          error = file.commit();
        }
        step = file.failed_step();
      }
    }
    if (error == 0) return {};
    // The directory that we hold open was removed, or the server forgot it: open it by its name once more.
    if (!again && (error == ENOENT || error == ESTALE)) {
      forget_root(opened.root);
      continue;
    }
    return fmt::format("cannot store {}/{}/{}: {}: {}", version_path(), folder_name, name, step, words_for(-error));
  }
}

/// Makes room for an entry that is about to get its name. Publishers do so one at a time, or two of them would each
/// find the room that the other one is about to fill.
Store::Room Store::make_room(const Root& root, const EvictionRequest& request) {
  if (!request.limit) {
    if (!swept_.exchange(true)) sweep(root, request);
    return {{}, ByteLock(files_)};
  }
  Room room = enter_room(root);
  room.made = sweep(root, request).fits;
  return room;
}

Store::Room Store::enter_room(const Root& root) {
  // The threads of a process queue up for the mutex, so that only one of them polls for the lock of the processes.
  Room room{std::unique_lock(room_mutex_, kRoomWaitLimit), ByteLock(files_, root.number(), kEvictionByte)};
  wait_for_lock(room.process_lock, clock_, kRoomWaitLimit);
  return room;
}

EvictionResult Store::sweep(const Root& root, const EvictionRequest& request) {
  const std::string path = version_path();
  const EvictionResult result = evict(files_, root, path, take_inventory(files_, root, path), request);
  evicted_.fetch_add(result.evicted, std::memory_order_relaxed);
  reaped_.fetch_add(result.reaped, std::memory_order_relaxed);
  return result;
}

StoreCounters Store::counters() const {
  const auto load = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  StoreCounters snapshot;
  snapshot.hits = load(hits_);
  for (std::size_t i = 0; i < kMissReasons; ++i) snapshot.misses_by_reason[i] = load(misses_[i]);
  snapshot.stores = load(stores_);
  snapshot.failed_stores = load(failed_stores_);
  snapshot.healed = load(healed_);
  snapshot.touched = load(touched_);
  snapshot.evicted = load(evicted_);
  snapshot.reaped = load(reaped_);
  snapshot.waits = load(waits_);
  snapshot.shared = load(shared_);
  snapshot.timeouts = load(timeouts_);
  return snapshot;
}

}  // namespace flashmask::cache
