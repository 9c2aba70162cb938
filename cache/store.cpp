#include "cache/store.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/directory.h"
#include "cache/tag_order.h"

namespace flashmask::cache {
namespace {

// The directory's name is the format's version: another version lives beside this one and neither touches the other's.
constexpr const char* kVersionDirectory = "v1";
constexpr std::size_t kFanOutDigits = 2;  // 256 directories, so that listing one stays cheap with 10,000 entries

std::string words_for(long negative_errno) {
  return std::generic_category().message(static_cast<int>(-negative_errno));
}

/// Relative to the version directory: "ab/ab…-tag".
std::string name_below_version(const Digest& digest, std::string_view tag) {
  const std::string hex = digest.hex();
  return fmt::format("{}/{}-{}", std::string_view(hex).substr(0, kFanOutDigits), hex, tag);
}

LookupResult miss(MissReason reason, std::string detail = {}) {
  return {std::nullopt, reason, std::move(detail)};
}

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

/// Creates the missing directories of an absolute path, each 0700. 0 or the negative errno.
int make_directories(FileSystem& files, const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const int made = files.make_directory_at(AT_FDCWD, part.c_str(), S_IRWXU);
    // A parent may refuse to be created (EACCES, EROFS on "/") and exist: only the last answer counts.
    if (slash == std::string::npos) return made == -EEXIST ? 0 : made;
  }
}

}  // namespace

/// The open version directory. Everything below is reached through its descriptor, so that the directory that was
/// judged is the one that is used.
class Store::Root {
 public:
  Root(FileSystem& files, int number) : descriptor_(files, number) {}
  int number() const { return descriptor_.number(); }

 private:
  Descriptor descriptor_;
};

/// The root, or why it cannot be used; neither: it does not exist yet.
struct Store::RootResult {
  std::shared_ptr<const Root> root;
  std::string refusal;
};

TagPolicy TagPolicy::exact(std::string tag) {
  TagPolicy policy;
  policy.exact_ = std::move(tag);
  return policy;
}

TagPolicy TagPolicy::matching(std::function<bool(std::string_view tag)> accepts) {
  TagPolicy policy;
  policy.accepts_ = std::move(accepts);
  return policy;
}

bool TagPolicy::wants(std::string_view tag) const {
  if (exact_) return tag == *exact_;
  return !accepts_ || accepts_(tag);
}

MissReason reason_of(EntryDefect defect) {
  switch (defect) {
    case EntryDefect::kForeign:
      return MissReason::kForeign;
    case EntryDefect::kOtherVersion:
      return MissReason::kOtherVersion;
    case EntryDefect::kMalformed:
      return MissReason::kMalformed;
    case EntryDefect::kTruncated:
    case EntryDefect::kWrongLength:
    case EntryDefect::kWrongChecksum:
      return MissReason::kCorrupt;
  }
  return MissReason::kCorrupt;
}

std::string_view name_of(MissReason reason) {
  switch (reason) {
    case MissReason::kAbsent:
      return "absent";
    case MissReason::kOtherToolchain:
      return "other-toolchain";
    case MissReason::kDisabled:
      return "disabled";
    case MissReason::kUnreadable:
      return "unreadable";
    case MissReason::kNotARegularFile:
      return "not-a-regular-file";
    case MissReason::kForeignOwner:
      return "foreign-owner";
    case MissReason::kLoosePermissions:
      return "loose-permissions";
    case MissReason::kTooLarge:
      return "too-large";
    case MissReason::kForeign:
      return "foreign";
    case MissReason::kOtherVersion:
      return "other-version";
    case MissReason::kCorrupt:
      return "corrupt";
    case MissReason::kMalformed:
      return "malformed";
    case MissReason::kWrongName:
      return "wrong-name";
    case MissReason::kRefused:
      return "refused";
  }
  return "unknown";
}

std::uint64_t StoreCounters::misses() const {
  return std::accumulate(misses_by_reason.begin(), misses_by_reason.end(), std::uint64_t{0});
}

Store::Store(StoreOptions options)
    : options_(std::move(options)), files_(options_.file_system ? *options_.file_system : FileSystem::real()) {
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
  return fmt::format("{}/{}", kVersionDirectory, name_below_version(digest, tag));
}

// ---- the directory

Store::RootResult Store::open_root(bool create) {
  if (!permanent_refusal_.empty()) return {nullptr, permanent_refusal_};
  const auto refused = [](const std::string& what, const std::string& path, int failure) {
    return RootResult{nullptr, fmt::format("cannot {} the cache directory {}: {}", what, path, words_for(failure))};
  };
  const auto judge = [this](const std::string& path, int descriptor) -> std::string {
    struct stat status{};
    if (const int failure = files_.status(descriptor, status); failure < 0)
      return fmt::format("cannot look at the cache directory {}: {}", path, words_for(failure));
    return refuse_directory(path, status, files_.user()).value_or("");
  };

  // A symbolic link to the directory is followed, for caches are moved to other disks that way; its target is judged.
  // Below it no link is ever followed.
  const std::string& path = options_.directory;
  const auto open_top = [&] {
    return uninterrupted([&] { return files_.open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY, 0); });
  };
  int number = open_top();
  if (number == -ENOENT) {
    if (!create) return {};
    if (const int failure = make_directories(files_, path); failure < 0) return refused("create", path, failure);
    number = open_top();
  }
  if (number < 0) return refused("open", path, number);
  const Descriptor top(files_, number);
  if (std::string refusal = judge(path, number); !refusal.empty()) return {nullptr, std::move(refusal)};

  const std::string version_path = fmt::format("{}/{}", path, kVersionDirectory);
  const auto open_version = [&] {
    return uninterrupted(
        [&] { return files_.open_at(top.number(), kVersionDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0); });
  };
  number = open_version();
  if (number == -ENOENT) {
    if (!create) return {};
    const int made = files_.make_directory_at(top.number(), kVersionDirectory, S_IRWXU);
    if (made < 0 && made != -EEXIST) return refused("create", version_path, made);
    number = open_version();
  }
  if (number < 0) return refused("open", version_path, number);
  auto root = std::make_shared<const Root>(files_, number);
  if (std::string refusal = judge(version_path, number); !refusal.empty()) return {nullptr, std::move(refusal)};
  return {std::move(root), {}};
}

Store::RootResult Store::root(bool create) {
  std::lock_guard lock(root_mutex_);
  if (root_) return {root_, {}};
  RootResult result = open_root(create);
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
  const RootResult opened = root(false);
  if (!opened.refusal.empty()) return miss(MissReason::kDisabled, opened.refusal);
  if (!opened.root) return miss(MissReason::kAbsent);
  const Root& root = *opened.root;
  if (policy.exact_) {
    if (!is_valid_name(*policy.exact_))
      return miss(MissReason::kOtherToolchain, fmt::format("\"{}\" is not a toolchain tag", *policy.exact_));
    return read_entry(root, digest, *policy.exact_, validator);
  }

  const std::string hex = digest.hex();
  const std::string prefix = hex + "-";
  std::vector<std::string> names;
  if (const int failure = files_.list(root.number(), hex.substr(0, kFanOutDigits).c_str(), prefix, names);
      failure < 0) {
    if (failure == -ENOENT) return miss(MissReason::kAbsent);
    if (failure == -ESTALE) forget_root(opened.root);
    return miss(MissReason::kUnreadable, fmt::format("cannot list {}/{}/{}: {}", options_.directory, kVersionDirectory,
                                                     hex.substr(0, kFanOutDigits), words_for(failure)));
  }
  std::vector<std::string> tags;
  for (const std::string& name : names) {
    std::string tag = name.substr(prefix.size());
    if (is_valid_name(tag) && policy.wants(tag)) tags.push_back(std::move(tag));
  }
  if (tags.empty()) {
    if (names.empty()) return miss(MissReason::kAbsent);
    return miss(MissReason::kOtherToolchain,
                fmt::format("{} of other toolchains, the first {}", names.size(), names.front()));
  }
  std::sort(tags.begin(), tags.end(), is_newer_tag);
  std::optional<LookupResult> first;
  for (const std::string& tag : tags) {
    LookupResult result = read_entry(root, digest, tag, validator);
    if (result) return result;
    if (!first) first = std::move(result);
  }
  return std::move(*first);
}

LookupResult Store::read_entry(const Root& root, const Digest& digest, std::string_view tag,
                               const Validator& validator) {
  const std::string name = name_below_version(digest, tag);
  const auto missed = [&](MissReason reason, std::string_view why) {
    return miss(reason, fmt::format("{}/{}/{}: {}", options_.directory, kVersionDirectory, name, why));
  };
  // O_NONBLOCK: a FIFO in the place of an entry must not hold us up.
  const Descriptor file(files_, uninterrupted([&] {
                          return files_.open_at(root.number(), name.c_str(),
                                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
                        }));
  if (file.number() == -ENOENT) return miss(MissReason::kAbsent);
  if (file.number() == -ELOOP) return missed(MissReason::kNotARegularFile, "it is a symbolic link");
  if (file.number() == -ENXIO) return missed(MissReason::kNotARegularFile, "it is a socket or a device");
  if (file.number() < 0) return missed(MissReason::kUnreadable, words_for(file.number()));

  struct stat status{};
  if (const int failure = files_.status(file.number(), status); failure < 0)
    return missed(MissReason::kUnreadable, words_for(failure));
  if (!S_ISREG(status.st_mode)) return missed(MissReason::kNotARegularFile, "it is not a regular file");
  if (status.st_uid != files_.user() && status.st_uid != 0)
    return missed(MissReason::kForeignOwner, fmt::format("it belongs to user {}", status.st_uid));
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return missed(MissReason::kLoosePermissions, "it may be written by others; remove it, or chmod go-w it");
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) > kMaxEntryBytes)
    return missed(MissReason::kTooLarge, fmt::format("{} bytes; at most {} are read", status.st_size, kMaxEntryBytes));

  const auto size = static_cast<std::size_t>(status.st_size);
  const auto bytes = std::make_shared_for_overwrite<std::byte[]>(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got =
        uninterrupted([&] { return files_.read(file.number(), std::span(bytes.get() + filled, size - filled)); });
    if (got < 0) return missed(MissReason::kUnreadable, words_for(got));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }

  auto decoded = decode(bytes, filled);
  if (const EntryDefect* defect = std::get_if<EntryDefect>(&decoded)) {
    const MissReason reason = reason_of(*defect);
    if (reason == MissReason::kCorrupt) heal(root, name, status);
    return missed(reason, describe(*defect));
  }
  Entry& entry = std::get<Entry>(decoded);
  // A good entry under another's name: somebody copied or exchanged files.
  if (entry.digest() != digest || entry.toolchain_tag() != tag)
    return missed(MissReason::kWrongName, fmt::format("it holds {}-{}", entry.digest().hex(), entry.toolchain_tag()));
  if (validator)
    if (const std::optional<std::string> refusal = validator(entry)) return missed(MissReason::kRefused, *refusal);
  LookupResult hit;
  hit.entry = std::move(entry);
  return hit;
}

/// Removes a corrupt entry, unless its name meanwhile stands for another file: a publisher may have replaced it while
/// we read. If that happens between our look and the removal, one good entry is lost and made again.
void Store::heal(const Root& root, const std::string& name, const struct stat& judged) {
  if (options_.access == StoreOptions::Access::kReadOnly) return;
  struct stat current{};
  if (files_.status_at(root.number(), name.c_str(), current) < 0 || !is_same_file(judged, current)) return;
  if (files_.unlink_at(root.number(), name.c_str()) == 0) healed_.fetch_add(1, std::memory_order_relaxed);
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
  if (options_.access == StoreOptions::Access::kReadOnly)
    return fmt::format("the cache directory {} is used read-only", options_.directory);
  const std::vector<std::byte> bytes = encode(entry);
  const std::string name = name_below_version(entry.digest, entry.toolchain_tag);
  const std::string fan_out = name.substr(0, kFanOutDigits);

  for (bool again = false;; again = true) {
    const RootResult opened = root(true);
    if (!opened.root)
      return opened.refusal.empty() ? fmt::format("the cache directory {} vanished", options_.directory)
                                    : opened.refusal;
    const char* step = "mkdir";
    int error = -files_.make_directory_at(opened.root->number(), fan_out.c_str(), S_IRWXU);
    if (error == 0 || error == EEXIST) {
      AtomicFile file(files_, opened.root->number(), name);
      file.write(bytes);
      error = file.commit();
      step = file.failed_step();
    }
    if (error == 0) return {};
    // The directory that we hold open was removed, or the server forgot it: open it by its name once more.
    if (!again && (error == ENOENT || error == ESTALE)) {
      forget_root(opened.root);
      continue;
    }
    return fmt::format("cannot store {}/{}/{}: {}: {}", options_.directory, kVersionDirectory, name, step,
                       words_for(-error));
  }
}

StoreCounters Store::counters() const {
  StoreCounters snapshot;
  snapshot.hits = hits_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kMissReasons; ++i)
    snapshot.misses_by_reason[i] = misses_[i].load(std::memory_order_relaxed);
  snapshot.stores = stores_.load(std::memory_order_relaxed);
  snapshot.failed_stores = failed_stores_.load(std::memory_order_relaxed);
  snapshot.healed = healed_.load(std::memory_order_relaxed);
  return snapshot;
}

}  // namespace flashmask::cache
