#pragma once

#include "cache/pack.h"
#include "cache/store.h"
#include "flashmask/kernel_cache.h"

namespace flashmask {

/// What a store holds, each file read in full and judged. Nothing is removed, healed or counted.
CacheContents list_kernels(cache::Store& store);
/// What a pack holds, each entry read in full and judged.
CacheContents list_kernels(const cache::Pack& pack);

/// Opens a pack or throws what KernelCache::import_pack() throws for one that cannot be opened.
std::shared_ptr<const cache::Pack> require_pack(const std::string& path);

/// Judges entries by refuse_entry() and keeps what it learns of the last one.
class KernelReader {
 public:
  cache::Validator validator();
  /// Fills in what is known of a kernel from the result of a lookup or a read with the validator.
  void describe(const cache::LookupResult& found, CacheEntry& kernel);

 private:
  KernelRecord record_;
};

}  // namespace flashmask
