#include "cache/eviction.h"

#include <algorithm>
#include <vector>

#include "cache/entry_file.h"

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;

/// Of equal age, by name, so that the choice repeats.
bool is_used_before(const InventoryItem* a, const InventoryItem* b) {
  if (a->identity.modified() != b->identity.modified()) return a->identity.modified() < b->identity.modified();
  return a->name < b->name;
}

/// How far an incoming entry's time is moved at most: one entry with a time in the future, by a clock that was wrong,
/// must not take all later ones along.
constexpr std::chrono::minutes kMostAdvance{1};

/// What file systems keep times in: nanoseconds, 100 of them, milliseconds, seconds, two of them.
constexpr std::chrono::nanoseconds kSteps[] = {1ns, 100ns, 1ms, 1s, 2s};

/// A file's time is that of its last write, as coarse as the file server's tick, and others may have been published
/// between that write and our turn. Publishers have turns, so the time after the youngest entry's is nobody else's.
void make_youngest(FileSystem& files, const Root& root, const std::string& path, const Inventory& inventory,
                   const InventoryItem& incoming) {
  const auto written = incoming.identity.modified();
  auto youngest = written - 1ns;
  for (const InventoryItem& item : inventory.entries)
    if (item.countable && item.identity.modified() <= written + kMostAdvance)
      youngest = std::max(youngest, item.identity.modified());
  if (youngest < written) return;
  const Folder folder = open_folder(files, root, incoming.folder, path);
  if (!folder.is_usable()) return;
  const int number = folder.descriptor.number();
  // As fine as the file system keeps times. Should it fail, the order among entries of one tick is that of their names.
  for (const std::chrono::nanoseconds step : kSteps) {
    const auto since_epoch = (youngest + step).time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    const timespec time = {static_cast<time_t>(seconds.count()), static_cast<long>((since_epoch - seconds).count())};
    struct stat status{};
    if (uninterrupted([&] { return files.set_modified_at(number, incoming.name.c_str(), time); }) < 0) return;
    if (uninterrupted([&] { return files.status_at(number, incoming.name.c_str(), status); }) < 0) return;
    if (FileIdentity::of(status).modified() > youngest) return;
  }
}

template <typename Unlink>
Unlinking in_folder(FileSystem& files, const Root& root, const std::string& path, const InventoryItem& item,
                    Unlink&& unlink) {
  const Folder folder = open_folder(files, root, item.folder, path);
  if (!folder.is_usable()) return Unlinking::kFailed;
  return unlink(files, folder.descriptor.number(), item.name, item.identity);
}

}  // namespace

EvictionResult evict(FileSystem& files, const Root& root, const std::string& path, const Inventory& inventory,
                     const EvictionRequest& request) {
  EvictionResult result;
  std::chrono::system_clock::time_point now = request.now;
  for (const InventoryItem& item : inventory.temporaries) {
    if (item.name != request.incoming_temporary) continue;
    now = item.identity.modified();
    if (request.limit) make_youngest(files, root, path, inventory, item);
  }
  for (const InventoryItem& item : inventory.temporaries) {
    if (!item.countable || item.name == request.incoming_temporary) continue;
    if (now - item.identity.modified() < kStaleTemporaryAge) continue;
    const Unlinking outcome = in_folder(files, root, path, item, unlink_judged);
    result.reaped += outcome == Unlinking::kRemoved;
    result.failed += outcome == Unlinking::kFailed;
  }

  std::vector<const InventoryItem*> entries;
  for (const InventoryItem& item : inventory.entries) {
    if (!item.countable || item.name == request.incoming_name) continue;
    entries.push_back(&item);
    result.kept_bytes += item.identity.bytes;
  }
  if (!request.limit) return result;
  const auto fits = [&] {
    return request.incoming_bytes <= *request.limit && result.kept_bytes <= *request.limit - request.incoming_bytes;
  };
  if (fits()) return result;
  std::sort(entries.begin(), entries.end(), is_used_before);
  for (const InventoryItem* item : entries) {
    if (fits()) break;
    switch (in_folder(files, root, path, *item, unlink_entry)) {
      case Unlinking::kRemoved:
        ++result.evicted;
        result.evicted_bytes += item->identity.bytes;
        result.kept_bytes -= item->identity.bytes;
        break;
      case Unlinking::kGone:
      case Unlinking::kForeign:  // neither removed nor counted
        result.kept_bytes -= item->identity.bytes;
        break;
      case Unlinking::kChanged:  // in use: it stays, and the next one goes
        break;
      case Unlinking::kFailed:
        ++result.failed;
        break;
    }
  }
  result.fits = fits();
  return result;
}

}  // namespace flashmask::cache
