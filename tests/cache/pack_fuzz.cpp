// libFuzzer: whatever the bytes, the reader of packs neither crashes nor reads outside them, and of what it accepts
// the index has one encoding and every entry that is served is the one that the index names. The input is tried as it
// is, as an index behind a right head and under a right checksum, and as the bytes of an entry behind a right index.

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "cache/pack.h"
#include "cache/pack_format.h"

namespace {

using namespace flashmask::cache;

constexpr std::size_t kHeadBytes = 64;
constexpr std::size_t kRecordBytes = 128;

void check(std::string_view text) {
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(text.data()),
                                     reinterpret_cast<const std::byte*>(text.data()) + text.size());
  const Pack::Opening opening = Pack::from_memory(bytes, "fuzz");
  if (static_cast<bool>(opening.pack) != opening.refusal.empty()) std::abort();
  if (!opening.pack) return;
  const auto& records = opening.pack->records();
  const std::vector<std::byte> index = encode_index(records, bytes.size());
  if (index.size() > bytes.size() || !std::equal(index.begin(), index.end(), bytes.begin())) std::abort();
  for (const PackRecord& record : records) {
    const LookupResult found = opening.pack->read(record);
    if (found && (found.entry->digest() != record.digest || found.entry->toolchain_tag() != record.tag)) std::abort();
    if (found.entry.has_value() != opening.pack->lookup(record.digest, TagPolicy::exact(record.tag)).entry.has_value())
      std::abort();
  }
}

/// The input as `entries` records and what follows them.
std::string sealed(std::string_view input, std::size_t entries) {
  std::string text(kHeadBytes, '\0');
  text.append(input.substr(0, entries * kRecordBytes));
  text.append(sizeof(XXH128_canonical_t), '\0');
  text.append(input.substr(entries * kRecordBytes));
  char head[kHeadBytes];
  std::snprintf(head, sizeof head, "flashmask-pack 1 %016zx\nentries %016zx\n", text.size(), entries);
  std::memcpy(text.data(), head, std::strlen(head));
  const std::size_t checksum_at = kHeadBytes + entries * kRecordBytes;
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(text.data(), checksum_at));
  std::memcpy(text.data() + checksum_at, &checksum, sizeof checksum);
  return text;
}

/// The input as the only entry of a pack.
std::string packed(std::string_view input) {
  PackRecord record{digest_of("x"), "t", align_in_pack(index_bytes(1)), input.size(), {}};
  const std::size_t checksum_bytes = std::min(input.size(), record.checksum.size());
  std::memcpy(record.checksum.data(), input.data() + input.size() - checksum_bytes, checksum_bytes);
  const auto index = encode_index(std::vector<PackRecord>{record}, record.offset + record.size);
  std::string text(reinterpret_cast<const char*>(index.data()), index.size());
  text.resize(record.offset);
  return text.append(input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input);
  for (std::size_t entries = 0; entries <= std::min<std::size_t>(3, size / kRecordBytes); ++entries)
    check(sealed(input, entries));
  if (size > 0) check(packed(input));
  return 0;
}
