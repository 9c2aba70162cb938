#include "runtime/store/kernel_listing.h"

#include <map>
#include <utility>

#include "flashmask/error.h"
#include "runtime/store/entry_check.h"

namespace flashmask {
namespace {

ErrorCode code_of(cache::MissReason reason) {
  using enum cache::MissReason;
  switch (reason) {
    case kAbsent:
      return ErrorCode::kNotFound;
    case kOtherVersion:
      return ErrorCode::kUnsupported;
    case kForeign:
    case kCorrupt:
    case kMalformed:
    case kTooLarge:
      return ErrorCode::kInvalidArgument;
    default:
      return ErrorCode::kStorage;
  }
}

}  // namespace

cache::Validator KernelReader::validator() {
  return [this](const cache::Entry& entry) { return refuse_entry(entry, record_); };
}

void KernelReader::describe(const cache::LookupResult& found, CacheEntry& kernel) {
  if (found) {
    kernel.record = std::move(record_);
    kernel.has_ptx = found.entry->section(kPtxSection).has_value();
  } else {
    kernel.defect = cache::name_of(found.reason);
    kernel.detail = found.detail;
  }
}

CacheContents list_kernels(cache::Store& store) {
  struct Learnt {
    KernelRecord record;
    bool has_ptx = false;
  };
  std::map<std::pair<cache::Digest, std::string>, Learnt> learnt;
  cache::StoreContents found = store.verify([&](const cache::Entry& entry) {
    Learnt each;
    auto refusal = refuse_entry(entry, each.record);
    each.has_ptx = entry.section(kPtxSection).has_value();
    if (!refusal) learnt.insert_or_assign({entry.digest(), std::string(entry.toolchain_tag())}, std::move(each));
    return refusal;
  });

  CacheContents contents;
  contents.temporary_files = found.temporary_files;
  contents.temporary_bytes = found.temporary_bytes;
  contents.failure = std::move(found.failure);
  for (const std::string& stray : found.strays) contents.strays.push_back(store.directory() + "/" + stray);
  for (cache::StoredFile& file : found.files) {
    CacheEntry& kernel = contents.entries.emplace_back();
    kernel.digest = file.digest.hex();
    kernel.toolchain_tag = file.toolchain_tag;
    kernel.place = store.directory() + "/" + file.path;
    kernel.bytes = file.bytes;
    kernel.last_used = file.last_used;
    if (file.defect) {
      kernel.defect = cache::name_of(*file.defect);
      kernel.detail = std::move(file.detail);
    } else if (auto known = learnt.find({file.digest, file.toolchain_tag}); known != learnt.end()) {
      kernel.record = std::move(known->second.record);
      kernel.has_ptx = known->second.has_ptx;
    }
  }
  return contents;
}

CacheContents list_kernels(const cache::Pack& pack) {
  CacheContents contents;
  for (const cache::PackRecord& entry : pack.records()) {
    CacheEntry& kernel = contents.entries.emplace_back();
    kernel.digest = entry.digest.hex();
    kernel.toolchain_tag = entry.tag;
    kernel.place = pack.name();
    kernel.bytes = entry.size;
    KernelReader reader;
    reader.describe(pack.read(entry, reader.validator()), kernel);
  }
  return contents;
}

std::shared_ptr<const cache::Pack> require_pack(const std::string& path) {
  cache::Pack::Opening opening = cache::Pack::open(path);
  if (!opening.pack) throw Error(code_of(opening.reason), opening.refusal);
  return std::move(opening.pack);
}

CacheContents read_pack(const std::string& path) {
  return list_kernels(*require_pack(path));
}

}  // namespace flashmask
