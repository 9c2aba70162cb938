#pragma once

#include <string>
#include <vector>

#include "cache/file_identity.h"
#include "cache/file_system.h"
#include "cache/root.h"

namespace flashmask::cache {

/// A file below a root, as one look without opening it tells. Only regular files that belong to the user or to root are
/// `countable`: they take space and may be removed.
struct InventoryItem {
  std::string folder;
  std::string name;
  FileIdentity identity;  // its time is the last use of an entry: its publication, or the hit that touched it
  bool countable = false;
};

/// What lies below a root. Not a snapshot: others publish and remove meanwhile.
struct Inventory {
  std::vector<InventoryItem> entries;      // whose names are those of entries; the content was not looked at
  std::vector<InventoryItem> temporaries;  // being written, or left behind
  std::vector<std::string> strays;         // "ab/notes.txt": nobody's names, never touched
  std::string failure;                     // the first thing that could not be looked at, and why; empty: none
};

/// Lists all folders of a root; `path` names the root in messages. What cannot be looked at is left out.
Inventory take_inventory(FileSystem& files, const Root& root, const std::string& path);

}  // namespace flashmask::cache
