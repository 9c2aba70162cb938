#include "flashmask/kernel_cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "cache/store.h"
#include "flashmask/error.h"
#include "runtime/store/kernel_listing.h"
#include "runtime/store/kernel_rebuild.h"
#include "runtime/store/pack_export.h"
#include "runtime/store/pack_import.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

constexpr std::size_t kLeastPrefix = 4;
constexpr std::size_t kDigestDigits = 2 * cache::Digest::kBytes;

std::string checked_prefix(std::string_view given) {
  std::string prefix(given);
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (char& c : prefix)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  if (prefix.size() < kLeastPrefix || prefix.size() > kDigestDigits ||
      !std::all_of(prefix.begin(), prefix.end(), is_hex))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is not the beginning of a digest: {} to {} hexadecimal digits are needed", given,
                            kLeastPrefix, kDigestDigits),
                "flashmask cache list shows the digests.");
  return prefix;
}

CacheRemoval told(const cache::Removal& removal) {
  return {removal.files, removal.bytes, removal.temporary_files, removal.kept, removal.failure};
}

}  // namespace

std::uint64_t CacheContents::bytes() const {
  return std::accumulate(entries.begin(), entries.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const CacheEntry& kernel) { return sum + kernel.bytes; });
}

std::size_t CacheContents::broken() const {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [](const CacheEntry& kernel) { return !kernel.record; }));
}

struct KernelCache::State {
  explicit State(const Policy& policy)
      : toolchain(policy.toolchain),
        byte_limit(policy.cache_bytes),
        reader({.directory = policy.cache_directory, .access = cache::StoreOptions::Access::kReadOnly}),
        writer({.directory = policy.cache_directory,
                .byte_limit =
                    policy.cache_bytes == kUnlimitedCacheBytes ? std::nullopt : std::optional(policy.cache_bytes)}) {}

  std::string toolchain;
  std::uint64_t byte_limit;
  cache::Store reader;  // whose look-ups count as no use
  cache::Store writer;

  /// The one digest with this prefix.
  cache::Digest digest_of_prefix(std::string_view given) {
    const std::string prefix = checked_prefix(given);
    std::set<cache::Digest> found;
    for (const cache::StoredFile& file : reader.list().files)
      if (file.digest.hex().starts_with(prefix)) found.insert(file.digest);
    if (found.empty())
      throw Error(ErrorCode::kNotFound,
                  fmt::format("no kernel in {} has a digest that begins with {}", reader.directory(), prefix),
                  "flashmask cache list shows the digests.");
    if (found.size() > 1) {
      std::vector<std::string> names;
      for (const cache::Digest& digest : found) names.push_back(digest.hex());
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} digests begin with {}: {}", found.size(), prefix, fmt::join(names, ", ")),
                  "Give more digits.");
    }
    return *found.begin();
  }
};

KernelCache::KernelCache(const Policy& policy) {
  if (policy.cache_directory.empty())
    throw Error(ErrorCode::kNotFound,
                policy.cache_refusal.empty() ? "there is no cache directory: the policy turns it off"
                                             : "there is no cache directory: " + policy.cache_refusal,
                "Name one: FLASHMASK_CACHE_DIR=/absolute/directory");
  state_ = std::make_unique<State>(policy);
  if (auto refusal = state_->reader.disabled_reason()) throw Error(ErrorCode::kStorage, *refusal);
}

KernelCache::~KernelCache() = default;

const std::string& KernelCache::directory() const {
  return state_->reader.directory();
}

std::uint64_t KernelCache::byte_limit() const {
  return state_->byte_limit;
}

CacheContents KernelCache::list() const {
  return list_kernels(state_->reader);
}

std::vector<CacheEntry> KernelCache::find(std::string_view digest_prefix) const {
  const cache::Digest digest = state_->digest_of_prefix(digest_prefix);
  std::vector<CacheEntry> kernels;
  for (const cache::StoredFile& file : state_->reader.list().files) {
    if (file.digest != digest) continue;
    CacheEntry& kernel = kernels.emplace_back();
    kernel.digest = digest.hex();
    kernel.toolchain_tag = file.toolchain_tag;
    kernel.place = fmt::format("{}/{}", directory(), file.path);
    kernel.bytes = file.bytes;
    kernel.last_used = file.last_used;
    KernelReader reader;
    reader.describe(state_->reader.lookup(digest, cache::TagPolicy::exact(file.toolchain_tag), reader.validator()),
                    kernel);
  }
  return kernels;
}

std::vector<std::byte> KernelCache::extract(std::string_view digest_prefix, std::string_view section) const {
  const cache::Digest digest = state_->digest_of_prefix(digest_prefix);
  KernelReader reader;
  const cache::LookupResult found = state_->reader.lookup(digest, wanted_tags(state_->toolchain), reader.validator());
  if (!found)
    throw Error(ErrorCode::kNotFound, fmt::format("the kernel {} cannot be read: {}", digest.hex(),
                                                  found.detail.empty() ? cache::name_of(found.reason) : found.detail));
  const auto bytes = found.entry->section(section);
  if (!bytes) {
    std::vector<std::string_view> names;
    for (const cache::SectionView& each : found.entry->sections()) names.push_back(each.name);
    throw Error(ErrorCode::kNotFound, fmt::format("the kernel {} has no section \"{}\": it has {}", digest.hex(),
                                                  section, fmt::join(names, ", ")));
  }
  return {bytes->begin(), bytes->end()};
}

CacheRemoval KernelCache::collect(std::uint64_t bytes) {
  return told(state_->writer.collect(bytes));
}

CacheRemoval KernelCache::clear() {
  return told(state_->writer.clear());
}

CacheRemoval KernelCache::remove_broken() {
  using enum cache::MissReason;
  KernelReader reader;
  CacheRemoval all;
  for (const cache::StoredFile& file : state_->reader.verify(reader.validator()).files) {
    if (file.defect != kCorrupt && file.defect != kMalformed && file.defect != kWrongName && file.defect != kRefused)
      continue;
    const cache::Removal removal = state_->writer.remove(file);
    all.files += removal.files;
    all.bytes += removal.bytes;
    all.kept += removal.kept;
    if (all.failure.empty()) all.failure = removal.failure;
  }
  return all;
}

ExportReport KernelCache::export_pack(const std::string& path, const ExportOptions& options) const {
  return export_kernels(state_->reader, path, options);
}

ImportReport KernelCache::import_pack(const std::string& path, const ImportOptions& options) {
  return import_kernels(state_->reader, state_->writer, state_->byte_limit, path, options);
}

std::vector<RebuiltKernel> KernelCache::rebuild(Runtime& compiler, const CacheProgress& progress) const {
  return rebuild_kernels(state_->reader, compiler, progress);
}

}  // namespace flashmask
