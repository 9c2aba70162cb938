#include "runtime/store/kernel_store.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/store/cubin_check.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

constexpr const char* kTurnedOff = "the cache on disk is turned off by the policy";

std::unique_ptr<cache::Store> open_store(const Policy& policy) {
  if (policy.cache_directory.empty())
    return cache::Store::disabled(policy.cache_refusal.empty() ? kTurnedOff : policy.cache_refusal);
  cache::StoreOptions options{.directory = policy.cache_directory};
  if (policy.cache_bytes != kUnlimitedCacheBytes) options.byte_limit = policy.cache_bytes;
  return std::make_unique<cache::Store>(std::move(options));
}

/// Why an entry is not the kernel that the source describes, or nothing.
std::optional<std::string> refuse_entry(const cache::Entry& entry, const generator::KernelSource& source,
                                        KernelRecord& record) {
  std::string why;
  auto parsed = parse_record(entry.metadata(), why);
  if (!parsed) return "its record is not readable: " + why;
  if (!(parsed->descriptor == source.descriptor && parsed->config == source.config && parsed->entry == source.entry))
    return "its record describes another kernel";
  const auto cubin = entry.section(kCubinSection);
  if (!cubin) return "it has no cubin";
  if (auto refusal = refuse_cubin(*cubin, source.descriptor.target, source.entry)) return refusal;
  const auto ptx = entry.section(kPtxSection);
  if (!ptx || ptx->empty()) return "it has no PTX";
  record = std::move(*parsed);
  return std::nullopt;
}

/// Makes an entry that was not refused the kernel's images.
void take_entry(StoredKernel& kernel, cache::Entry entry) {
  kernel.entry = std::move(entry);
  kernel.origin = KernelOrigin::kDisk;
  kernel.image = {*kernel.entry.section(kCubinSection), *kernel.entry.section(kPtxSection)};
}

/// Misses that tell of something wrong with the disk or its content, rather than of a kernel not yet there.
bool is_worth_a_warning(cache::MissReason reason) {
  switch (reason) {
    case cache::MissReason::kDisabled:
    case cache::MissReason::kUnreadable:
    case cache::MissReason::kForeignOwner:
    case cache::MissReason::kLoosePermissions:
      return true;
    default:
      return false;
  }
}

}  // namespace

KernelStore::KernelStore(const Policy& policy, Logger& logger)
    : toolchain_(policy.toolchain),
      disabled_by_policy_(policy.cache_directory.empty() && policy.cache_refusal.empty()),
      store_(open_store(policy)),
      logger_(logger) {}

void KernelStore::warn_once(const std::string& message) {
  if (warned_.exchange(true))
    logger_.debug(message);
  else
    logger_.warning(message);
}

cache::TagPolicy KernelStore::wanted_tags() const {
  if (toolchain_.empty()) return cache::TagPolicy::any();
  return cache::TagPolicy::matching(
      [wanted = toolchain_](std::string_view tag) { return accepts_toolchain(wanted, tag); });
}

KernelStore::Sighting KernelStore::look(const cache::Digest& digest, const generator::KernelSource& source) const {
  // A store of its own: what it counts is nobody's, and what it finds corrupt it may not remove.
  const std::string& directory = store_->directory();
  if (directory.empty()) return {"", "", store_->disabled_reason().value_or(kTurnedOff)};
  cache::Store reader({.directory = directory, .access = cache::StoreOptions::Access::kReadOnly});
  KernelRecord record;
  const cache::LookupResult found = reader.lookup(
      digest, wanted_tags(), [&](const cache::Entry& entry) { return refuse_entry(entry, source, record); });
  if (!found) return {"", "", found.detail.empty() ? "it holds no entry of this name" : found.detail};
  return {fmt::format("{}/{}", directory, cache::Store::entry_path(digest, found.entry->toolchain_tag())),
          std::move(record.toolchain), ""};
}

std::shared_ptr<const StoredKernel> KernelStore::find(const cache::Digest& digest,
                                                      const generator::KernelSource& source) {
  if (disabled_by_policy_) return nullptr;
  auto kernel = std::make_shared<StoredKernel>();
  cache::LookupResult found = store_->lookup(
      digest, wanted_tags(), [&](const cache::Entry& entry) { return refuse_entry(entry, source, kernel->record); });
  if (!found) {
    const std::string message =
        fmt::format("cache miss for {} ({}): {}{}{}", to_string(source.descriptor), digest.hex().substr(0, 12),
                    cache::name_of(found.reason), found.detail.empty() ? "" : ": ", found.detail);
    if (is_worth_a_warning(found.reason))
      warn_once(fmt::format("the kernel cache cannot be read, kernels are compiled anew: {}", found.detail));
    else if (found.reason == cache::MissReason::kAbsent)
      logger_.debug(message);
    else
      logger_.info(message);
    return nullptr;
  }
  take_entry(*kernel, std::move(*found.entry));
  return kernel;
}

KernelStore::Claim KernelStore::claim(const cache::Digest& digest, const generator::KernelSource& source) {
  if (disabled_by_policy_) return {};
  auto kernel = std::make_shared<StoredKernel>();
  cache::Claim claim = store_->claim(
      digest, wanted_tags(), [&](const cache::Entry& entry) { return refuse_entry(entry, source, kernel->record); });
  if (claim.turn == cache::Turn::kServed) {
    take_entry(*kernel, std::move(*claim.found.entry));
    return {std::move(kernel), std::nullopt};
  }
  if (claim.turn == cache::Turn::kTimedOut)
    logger_.warning(
        fmt::format("\"{}\" is compiled here, although another process has claimed to be compiling it for "
                    "{} seconds: is one stopped?",
                    to_string(source.descriptor), cache::kDefaultWaitLimit.count()));
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
  const cache::PublishOutcome outcome =
      store_->publish({digest, tag, metadata, {{kCubinSection, kernel.image.cubin}, {kPtxSection, kernel.image.ptx}}});
  if (outcome) return true;
  warn_once(
      fmt::format("a compiled kernel could not be stored, the next process compiles it again: {}", outcome.failure));
  return false;
}

}  // namespace flashmask
