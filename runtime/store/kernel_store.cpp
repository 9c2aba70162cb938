#include "runtime/store/kernel_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "runtime/store/cubin_check.h"
#include "runtime/store/kernel_listing.h"
#include "runtime/store/named_packs.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

static_assert(kDefaultCompileWait == cache::kDefaultWaitLimit);

constexpr const char* kTurnedOff = "the cache on disk is turned off by the policy";

std::unique_ptr<cache::Store> open_store(const Policy& policy) {
  if (policy.cache_directory.empty())
    return cache::Store::disabled(policy.cache_refusal.empty() ? kTurnedOff : policy.cache_refusal);
  cache::StoreOptions options{.directory = policy.cache_directory};
  if (policy.cache_bytes != kUnlimitedCacheBytes) options.byte_limit = policy.cache_bytes;
  return std::make_unique<cache::Store>(std::move(options));
}

std::unique_ptr<cache::Store> open_read_only(const std::string& directory) {
  return std::make_unique<cache::Store>(
      cache::StoreOptions{.directory = directory, .access = cache::StoreOptions::Access::kReadOnly});
}

/// Makes an entry that was not refused the kernel's images.
void take_entry(StoredKernel& kernel, cache::Entry entry, KernelOrigin origin) {
  kernel.entry = std::move(entry);
  kernel.origin = origin;
  kernel.image = {*kernel.entry.section(kCubinSection),
                  kernel.entry.section(kPtxSection).value_or(std::span<const std::byte>())};
}

}  // namespace

/// One place where kernels are looked for: a pack, or a directory.
class KernelStore::Tier {
 public:
  explicit Tier(std::shared_ptr<const cache::Pack> pack) : pack_(std::move(pack)) {}
  Tier(std::unique_ptr<cache::Store> store, bool is_own) : store_(std::move(store)), is_own_(is_own) {}

  cache::LookupResult lookup(const cache::Digest& digest, const cache::TagPolicy& wanted,
                             const cache::Validator& validator) const {
    return pack_ ? pack_->lookup(digest, wanted, validator) : store_->lookup(digest, wanted, validator);
  }
  cache::Store& store() const { return *store_; }
  CacheContents contents() const { return pack_ ? list_kernels(*pack_) : list_kernels(*store_); }
  KernelOrigin origin() const { return pack_ ? KernelOrigin::kPack : KernelOrigin::kDisk; }
  const std::string& name() const { return pack_ ? pack_->name() : store_->directory(); }

  /// For a message; without the user's directory, why there is none.
  std::string place() const {
    if (pack_) return fmt::format("the pack {}", name());
    if (!is_own_) return fmt::format("the read-only cache {}", name());
    return fmt::format("the cache {}", name().empty() ? "(there is none)" : name());
  }

  /// The warning that a miss here is worth, empty for one that tells only of a kernel that is not there yet.
  std::string warning_of(const cache::LookupResult& missed) const {
    using enum cache::MissReason;
    switch (missed.reason) {
      case kAbsent:
      case kOtherToolchain:
        return {};
      case kDisabled:
      case kUnreadable:
      case kForeignOwner:
      case kLoosePermissions:
        if (!pack_ && is_own_)
          return fmt::format("the kernel cache cannot be read, kernels are compiled anew: {}", missed.detail);
        break;
      default:
        // The user's own directory heals itself; nobody will mend a shipped pack or directory unless told.
        if (is_own_) return {};
        break;
    }
    return fmt::format("{} does not serve a kernel that it should: {}", place(), missed.detail);
  }

  /// True for the first caller.
  bool may_warn() { return !warned_.exchange(true); }

 private:
  std::shared_ptr<const cache::Pack> pack_;  // or
  std::unique_ptr<cache::Store> store_;
  bool is_own_ = false;
  std::atomic<bool> warned_{false};
};

KernelStore::KernelStore(const Policy& policy, Logger& logger, PtxNeed need)
    : toolchain_(policy.toolchain),
      need_(need),
      compile_wait_(std::clamp(policy.compile_wait, std::chrono::milliseconds(0), kMostCompileWait)),
      disabled_by_policy_(policy.cache_directory.empty() && policy.cache_refusal.empty()),
      own_(std::make_unique<Tier>(open_store(policy), true)),
      logger_(logger) {
  for (NamedPack& named : open_packs(policy)) {
    if (named.pack)
      shared_.push_back(std::make_unique<Tier>(std::move(named.pack)));
    else
      unusable_.push_back(std::move(named.refusal));
  }
  for (const std::string& directory : policy.read_only_directories)
    shared_.push_back(std::make_unique<Tier>(open_read_only(directory), false));
  for (const std::string& refusal : unusable_) logger_.warning(fmt::format("{} (it is passed over)", refusal));
}

KernelStore::~KernelStore() = default;

void KernelStore::warn_once(const std::string& message) {
  if (warned_.exchange(true))
    logger_.debug(message);
  else
    logger_.warning(message);
}

std::string KernelStore::places() const {
  std::string text = own_->place();
  for (const auto& tier : shared_) text += fmt::format(", {}", tier->place());
  return text;
}

KernelStore::Sighting KernelStore::look(const cache::Digest& digest, const generator::KernelSource& source) const {
  KernelRecord record;
  const cache::Validator validator = [&](const cache::Entry& entry) {
    return refuse_entry(entry, source, need_, record);
  };
  const auto file_in = [&](const std::string& directory, const cache::LookupResult& found) {
    return fmt::format("{}/{}", directory, cache::Store::entry_path(digest, found.entry->toolchain_tag()));
  };
  std::vector<std::string> misses = unusable_;
  for (const auto& tier : shared_) {
    const cache::LookupResult found = tier->lookup(digest, wanted_tags(toolchain_), validator);
    if (!found) {
      if (!found.detail.empty()) misses.push_back(found.detail);
      continue;
    }
    if (tier->origin() == KernelOrigin::kPack)
      return {KernelOrigin::kPack, tier->name(), "", std::move(record.toolchain), ""};
    return {KernelOrigin::kDisk, "", file_in(tier->name(), found), std::move(record.toolchain), ""};
  }
  const std::string& directory = own_->name();
  if (directory.empty()) {
    misses.push_back(own_->store().disabled_reason().value_or(kTurnedOff));
  } else {
    // A store of its own: what it counts is nobody's, and what it finds corrupt it may not remove.
    const cache::LookupResult found = open_read_only(directory)->lookup(digest, wanted_tags(toolchain_), validator);
    if (found) return {KernelOrigin::kDisk, "", file_in(directory, found), std::move(record.toolchain), ""};
    if (!found.detail.empty()) misses.push_back(found.detail);
  }
  if (misses.empty())
    misses.push_back(shared_.empty() ? "it holds no entry of this name"
                                     : "neither it nor any pack or read-only cache holds an entry of this name");
  return {std::nullopt, "", "", "", fmt::format("{}", fmt::join(misses, "; "))};
}

std::vector<CachedKernel> KernelStore::kernels() const {
  std::vector<CachedKernel> kernels;
  const auto add = [&](const CacheContents& contents) {
    for (const CacheEntry& entry : contents.entries)
      if (entry.record)
        kernels.push_back({entry.digest, entry.record->descriptor, entry.record->config, entry.record->toolchain});
  };
  for (const auto& tier : shared_) add(tier->contents());
  if (!own_->name().empty()) add(list_kernels(*open_read_only(own_->name())));
  return kernels;
}

std::shared_ptr<const StoredKernel> KernelStore::find(const cache::Digest& digest,
                                                      const generator::KernelSource& source) {
  auto kernel = std::make_shared<StoredKernel>();
  const cache::Validator validator = [&](const cache::Entry& entry) {
    return refuse_entry(entry, source, need_, kernel->record);
  };
  const auto found_in = [&](Tier& tier) {
    cache::LookupResult found = tier.lookup(digest, wanted_tags(toolchain_), validator);
    if (!found) {
      report_miss(tier, found, digest, source);
      return false;
    }
    take_entry(*kernel, std::move(*found.entry), tier.origin());
    return true;
  };
  for (const auto& tier : shared_)
    if (found_in(*tier)) return kernel;
  if (!disabled_by_policy_ && found_in(*own_)) return kernel;
  return nullptr;
}

void KernelStore::report_miss(Tier& tier, const cache::LookupResult& missed, const cache::Digest& digest,
                              const generator::KernelSource& source) {
  if (const std::string warning = tier.warning_of(missed); !warning.empty()) {
    if (&tier == own_.get())
      warn_once(warning);
    else if (tier.may_warn())
      logger_.warning(warning);
    else
      logger_.debug(warning);
    return;
  }
  const std::string message =
      fmt::format("cache miss for {} ({}) in {}: {}{}{}", to_string(source.descriptor), digest.hex().substr(0, 12),
                  tier.place(), cache::name_of(missed.reason), missed.detail.empty() ? "" : ": ", missed.detail);
  if (missed.reason == cache::MissReason::kAbsent)
    logger_.debug(message);
  else
    logger_.info(message);
}

KernelStore::Claim KernelStore::claim(const cache::Digest& digest, const generator::KernelSource& source) {
  if (disabled_by_policy_) return {};
  auto kernel = std::make_shared<StoredKernel>();
  const cache::Validator validator = [&](const cache::Entry& entry) {
    return refuse_entry(entry, source, need_, kernel->record);
  };
  cache::Claim claim = own_->store().claim(digest, wanted_tags(toolchain_), validator, compile_wait_);
  if (claim.turn == cache::Turn::kServed) {
    take_entry(*kernel, std::move(*claim.found.entry), KernelOrigin::kDisk);
    return {std::move(kernel), std::nullopt};
  }
  if (claim.turn == cache::Turn::kTimedOut) {
    const std::chrono::duration<double> seconds = compile_wait_;
    const std::string message =
        fmt::format("\"{}\" is compiled here, although another process has claimed to be compiling it for {:g} seconds",
                    to_string(source.descriptor), seconds.count());
    // Who does not want to wait at all has asked for this.
    if (compile_wait_.count() == 0)
      logger_.info(message);
    else
      logger_.warning(message + ": is one stopped?");
  }
  return {nullptr, std::move(claim)};
}

bool KernelStore::publish(const cache::Digest& digest, const StoredKernel& kernel) {
  if (disabled_by_policy_) return false;
  // What would not be believed when read back is not worth writing.
  if (const auto refusal = refuse_cubin(kernel.image.cubin, kernel.record.descriptor.target, kernel.record.entry)) {
    warn_once(fmt::format("a compiled kernel is not stored, as its image is not understood: {}", *refusal));
    return false;
  }
  const std::string tag = toolchain_tag(kernel.record.toolchain);
  const std::string metadata = to_json(kernel.record);
  const cache::PublishOutcome outcome = own_->store().publish(
      {digest, tag, metadata, {{kCubinSection, kernel.image.cubin}, {kPtxSection, kernel.image.ptx}}});
  if (outcome) return true;
  warn_once(
      fmt::format("a compiled kernel could not be stored, the next process compiles it again: {}", outcome.failure));
  return false;
}

}  // namespace flashmask
