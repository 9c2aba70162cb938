#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cache/pack.h"
#include "cache/pack_writer.h"
#include "scratch_directory.h"

namespace flashmask::cache {

/// Entries to be packed, as the source of write_pack().
class SampleEntries {
 public:
  void add(const EntryView& view) {
    const std::vector<std::byte> encoded = encode(view);
    auto bytes = std::make_shared<std::byte[]>(encoded.size());
    std::memcpy(bytes.get(), encoded.data(), encoded.size());
    entries_.insert_or_assign({view.digest, std::string(view.toolchain_tag)},
                              std::get<Entry>(decode(bytes, encoded.size())));
  }
  std::vector<PackName> names() const {
    std::vector<PackName> names;
    for (const auto& [key, entry] : entries_) names.push_back({key.first, key.second});
    return names;
  }
  Entry operator()(const PackName& name) const { return entries_.at({name.digest, name.tag}); }

 private:
  std::map<std::pair<Digest, std::string>, Entry> entries_;
};

/// Writes a pack to a path and tells its size.
inline PackSize write_to(const std::string& path, const SampleEntries& entries, const PackOptions& options = {}) {
  AtomicFile file(FileSystem::real(), AT_FDCWD, path);
  const PackSize size = write_pack(file, entries.names(), entries, options);
  EXPECT_EQ(file.commit(), 0);
  return size;
}

/// The bytes of a pack.
inline std::string pack_text(const SampleEntries& entries, const PackOptions& options = {}) {
  const ScratchDirectory scratch;
  write_to(scratch.path() + "/pack", entries, options);
  return read_file(scratch.path() + "/pack");
}

/// Two kernels, one of them from two toolchains.
inline SampleEntries sample_entries() {
  SampleEntries entries;
  entries.add(sample_entry(digest_of("x"), "nvrtc-13.0.88", "new"));
  entries.add(sample_entry(digest_of("x"), "nvrtc-12.9.1", "old"));
  entries.add(sample_entry(digest_of("y"), "nvrtc-13.0.88", "other"));
  return entries;
}

constexpr std::size_t kPackHeadBytes = 64;
constexpr std::size_t kPackRecordBytes = 128;
constexpr std::size_t kPackCountAt = 42;  // "flashmask-pack 1 <16 digits>\nentries " in front of it

/// A pack whose index was changed, with its checksum made right: what only a hostile writer would produce.
inline std::string resealed(std::string pack, std::size_t entries) {
  const std::size_t checksum_at = kPackHeadBytes + entries * kPackRecordBytes;
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(pack.data(), checksum_at));
  std::memcpy(pack.data() + checksum_at, &checksum, sizeof checksum);
  return pack;
}

/// A pack of exactly these bytes, so that a sanitizer sees a read beyond them; aligned as `new` aligns.
class PackInMemory {
 public:
  explicit PackInMemory(std::string_view text) : bytes_(text.size()) {
    if (!text.empty()) std::memcpy(bytes_.data(), text.data(), text.size());
    opening_ = Pack::from_memory(bytes_, "sample");
  }
  const Pack::Opening& opening() const { return opening_; }
  const Pack* operator->() const { return opening_.pack.get(); }

 private:
  std::vector<std::byte> bytes_;
  Pack::Opening opening_;
};

inline std::string cubin_of(const LookupResult& found) {
  return found ? text_of(found.entry->section("cubin").value()) : "(" + std::string(name_of(found.reason)) + ")";
}

}  // namespace flashmask::cache
