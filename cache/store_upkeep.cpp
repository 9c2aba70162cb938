// What people do to a store with the command: look at it, check it, make it smaller.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include "cache/entry_file.h"
#include "cache/eviction.h"
#include "cache/inventory.h"
#include "cache/layout.h"
#include "cache/store.h"
#include "cache/tag_order.h"

namespace flashmask::cache {
namespace {

/// Why a folder is not used; "" if it is not there.
std::string words_for_folder(const Folder& folder, const std::string& path, const std::string& name) {
  const int number = folder.descriptor.number();
  if (!folder.refusal.empty() || number >= 0 || number == -ENOENT) return folder.refusal;
  return fmt::format("cannot open {}/{}: {}", path, name, words_for(number));
}

std::string words_for_failures(std::uint64_t count, const std::string& path) {
  return count == 0 ? "" : fmt::format("{} files in {} could not be removed: is it writable?", count, path);
}

}  // namespace

std::uint64_t StoreContents::bytes() const {
  return std::accumulate(files.begin(), files.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const StoredFile& file) { return sum + file.bytes; });
}

StoreContents Store::list() {
  return contents(false, {});
}

StoreContents Store::verify(const Validator& validator) {
  return contents(true, validator);
}

StoreContents Store::contents(bool in_full, const Validator& validator) {
  StoreContents contents;
  const RootResult opened = root(false);
  contents.failure = opened.refusal;
  if (!opened.root) return contents;
  const std::string path = version_path();
  Inventory inventory = take_inventory(files_, *opened.root, path);
  contents.failure = inventory.failure;
  for (std::string& stray : inventory.strays) contents.strays.push_back(fmt::format("{}/{}", kVersionDirectory, stray));
  std::sort(contents.strays.begin(), contents.strays.end());
  for (const InventoryItem& item : inventory.temporaries) {
    ++contents.temporary_files;
    contents.temporary_bytes += item.identity.bytes;
  }
  for (const InventoryItem& item : inventory.entries) {
    const Folder folder = open_folder(files_, *opened.root, item.folder, path);
    if (!folder.is_usable()) {  // changed since the inventory
      if (contents.failure.empty()) contents.failure = words_for_folder(folder, path, item.folder);
      continue;
    }
    auto [digest, tag] = *parse_file_name(item.name);
    EntryFile file(files_, folder.descriptor.number(), item.name);
    if (file.defect() == MissReason::kAbsent) continue;
    StoredFile stored{.digest = digest,
                      .toolchain_tag = std::move(tag),
                      .path = fmt::format("{}/{}/{}", kVersionDirectory, item.folder, item.name),
                      .bytes = item.identity.bytes,
                      .last_used = item.identity.modified(),
                      .defect = file.defect(),
                      .detail = file.detail(),
                      .identity = item.identity};
    if (!stored.defect) {
      std::optional<LookupResult> seen;
      if (in_full)
        seen = file.read(digest, stored.toolchain_tag, validator);
      else
        seen = file.glance();
      if (seen && !*seen) {
        stored.defect = seen->reason;
        stored.detail = std::move(seen->detail);
      }
    }
    contents.files.push_back(std::move(stored));
  }
  std::sort(contents.files.begin(), contents.files.end(), [](const StoredFile& a, const StoredFile& b) {
    return a.digest != b.digest ? a.digest < b.digest : is_newer_tag(a.toolchain_tag, b.toolchain_tag);
  });
  return contents;
}

std::shared_ptr<const Root> Store::root_for_removal(Removal& removal) {
  if (!is_writable()) {
    removal.failure = fmt::format("the cache directory {} is used read-only", options_.directory);
    return nullptr;
  }
  RootResult opened = root(false);
  removal.failure = std::move(opened.refusal);
  return std::move(opened.root);
}

Removal Store::remove(const StoredFile& file) {
  Removal removal;
  const std::shared_ptr<const Root> root = root_for_removal(removal);
  if (!root) return removal;
  const std::string path = version_path(), folder_name = folder_of(file.digest);
  const Folder folder = open_folder(files_, *root, folder_name, path);
  if (!folder.is_usable() && folder.descriptor.number() != -ENOENT) {
    removal.failure = words_for_folder(folder, path, folder_name);
    return removal;
  }
  const Unlinking outcome = folder.is_usable()
                                ? unlink_judged(files_, folder.descriptor.number(),
                                                file_name_of(file.digest, file.toolchain_tag), file.identity)
                                : Unlinking::kGone;
  removal.files = outcome == Unlinking::kRemoved;
  removal.bytes = removal.files ? file.bytes : 0;
  removal.kept = outcome == Unlinking::kChanged;
  removal.failure = words_for_failures(outcome == Unlinking::kFailed, path);
  return removal;
}

Removal Store::collect(std::uint64_t limit) {
  Removal removal;
  const std::shared_ptr<const Root> root = root_for_removal(removal);
  if (!root) return removal;
  const Room room = enter_room(*root);
  EvictionRequest request;
  request.limit = limit;
  request.now = clock_.wall_time();
  const EvictionResult result = sweep(*root, request);
  removal.files = result.evicted;
  removal.bytes = result.evicted_bytes;
  removal.temporary_files = result.reaped;
  removal.failure = words_for_failures(result.failed, version_path());
  return removal;
}

Removal Store::clear() {
  Removal removal;
  const std::shared_ptr<const Root> root = root_for_removal(removal);
  if (!root) return removal;
  const std::string path = version_path();
  const Inventory inventory = take_inventory(files_, *root, path);
  std::uint64_t failed = 0;
  for (const InventoryItem& item : inventory.entries) {
    const Folder folder = open_folder(files_, *root, item.folder, path);
    const Unlinking outcome = !item.countable ? Unlinking::kForeign
                              : folder.is_usable()
                                  ? unlink_entry(files_, folder.descriptor.number(), item.name, item.identity)
                                  : Unlinking::kFailed;
    removal.files += outcome == Unlinking::kRemoved;
    if (outcome == Unlinking::kRemoved) removal.bytes += item.identity.bytes;
    removal.kept += outcome == Unlinking::kForeign || outcome == Unlinking::kChanged;
    failed += outcome == Unlinking::kFailed;
  }
  EvictionRequest request;  // without a limit: temporary files alone
  request.now = clock_.wall_time();
  const EvictionResult temporaries = evict(files_, *root, path, inventory, request);
  removal.temporary_files = temporaries.reaped;
  removal.failure =
      inventory.failure.empty() ? words_for_failures(failed + temporaries.failed, path) : inventory.failure;
  return removal;
}

}  // namespace flashmask::cache
