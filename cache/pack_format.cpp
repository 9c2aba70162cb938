#include "cache/pack_format.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace flashmask::cache {
namespace {

constexpr std::string_view kMagic = "flashmask-pack ";
constexpr std::string_view kEntriesWord = "entries ";
constexpr std::size_t kNumberDigits = 16;
constexpr std::size_t kHeadBytes = 64;
constexpr std::size_t kTagBytes = kMaxNameBytes;
constexpr std::size_t kRecordBytes = Digest::kBytes + kTagBytes + 8 + 8 + PackRecord::kChecksumBytes;
static_assert(kRecordBytes == 128);
static_assert(sizeof(XXH128_canonical_t) == PackRecord::kChecksumBytes);

std::string head_of(std::size_t entries, std::uint64_t total) {
  std::string head =
      fmt::format("{}{} {:016x}\n{}{:016x}\n", kMagic, kPackVersion, total, kEntriesWord, std::uint64_t{entries});
  head.resize(kHeadBytes, '\0');
  return head;
}

XXH128_canonical_t checksum_of(const std::byte* data, std::size_t size) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
  return canonical;
}

void put_number(std::byte* place, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) place[i] = static_cast<std::byte>(number >> (8 * (7 - i)));
}

std::uint64_t number_at(const std::byte* place) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | static_cast<std::uint64_t>(place[i]);
  return number;
}

/// A number as head_of() writes it; nothing for any other spelling.
std::optional<std::uint64_t> parse_number(std::string_view digits) {
  std::uint64_t number = 0;
  for (char digit : digits) {
    const bool decimal = digit >= '0' && digit <= '9';
    if (!decimal && (digit < 'a' || digit > 'f')) return std::nullopt;
    number = number << 4 | static_cast<std::uint64_t>(decimal ? digit - '0' : digit - 'a' + 10);
  }
  return number;
}

/// The version in front of a space, if that is what stands there.
std::optional<int> parse_version(std::string_view text) {
  constexpr std::size_t kMostDigits = 6;
  const std::size_t end = text.substr(0, kMostDigits + 1).find(' ');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  int version = 0;
  for (char digit : text.substr(0, end)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    version = 10 * version + (digit - '0');
  }
  return version;
}

PackIndex refused(MissReason reason, std::string why) {
  return {{}, reason, std::move(why)};
}

PackIndex truncated() {
  return refused(MissReason::kCorrupt, "it is truncated");
}

/// Reads one record; false if it is not one that encode_index() writes.
bool read_record(const std::byte* place, PackRecord& record) {
  std::memcpy(record.digest.bytes.data(), place, Digest::kBytes);
  place += Digest::kBytes;
  const std::string_view filled(reinterpret_cast<const char*>(place), kTagBytes);
  const std::string_view tag = filled.substr(0, filled.find('\0'));
  if (!is_valid_name(tag) || filled.find_first_not_of('\0', tag.size()) != std::string_view::npos) return false;
  record.tag = tag;
  place += kTagBytes;
  record.offset = number_at(place);
  record.size = number_at(place + 8);
  std::memcpy(record.checksum.data(), place + 16, PackRecord::kChecksumBytes);
  return true;
}

}  // namespace

bool precedes(const Digest& digest, std::string_view tag, const Digest& other_digest, std::string_view other_tag) {
  const auto order = digest <=> other_digest;
  return order != 0 ? order < 0 : tag < other_tag;
}

std::uint64_t align_in_pack(std::uint64_t offset) {
  return (offset + kPackAlignment - 1) / kPackAlignment * kPackAlignment;
}

std::uint64_t index_bytes(std::size_t entries) {
  return kHeadBytes + std::uint64_t{entries} * kRecordBytes + PackRecord::kChecksumBytes;
}

std::vector<std::byte> encode_index(std::span<const PackRecord> records, std::uint64_t total) {
  std::vector<std::byte> bytes(index_bytes(records.size()));
  const std::string head = head_of(records.size(), total);
  std::memcpy(bytes.data(), head.data(), head.size());
  std::byte* place = bytes.data() + kHeadBytes;
  for (const PackRecord& record : records) {
    std::memcpy(place, record.digest.bytes.data(), Digest::kBytes);
    std::memcpy(place + Digest::kBytes, record.tag.data(), record.tag.size());
    std::byte* numbers = place + Digest::kBytes + kTagBytes;
    put_number(numbers, record.offset);
    put_number(numbers + 8, record.size);
    std::memcpy(numbers + 16, record.checksum.data(), PackRecord::kChecksumBytes);
    place += kRecordBytes;
  }
  const XXH128_canonical_t checksum = checksum_of(bytes.data(), bytes.size() - sizeof checksum);
  std::memcpy(place, &checksum, sizeof checksum);
  return bytes;
}

PackIndex decode_index(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string_view start = text.substr(0, kMagic.size());
  if (start != kMagic)
    return kMagic.starts_with(start) ? truncated() : refused(MissReason::kForeign, "it is not a FlashMask pack");
  const std::optional<int> version = parse_version(text.substr(kMagic.size()));
  if (version && *version != kPackVersion)
    return refused(MissReason::kOtherVersion,
                   fmt::format("it is a pack of version {}, and this library reads version {}{}", *version,
                               kPackVersion, *version > kPackVersion ? ": a newer library is needed" : ""));
  if (bytes.size() < kHeadBytes) return truncated();

  // The head is believed once it is what the writer makes of the two numbers in it.
  const std::string_view head = text.substr(0, kHeadBytes);
  const std::size_t total_at = kMagic.size() + 2;  // behind the version and a space
  const std::size_t count_at = total_at + kNumberDigits + 1 + kEntriesWord.size();
  const auto total = parse_number(head.substr(total_at, kNumberDigits));
  const auto count = parse_number(head.substr(count_at, kNumberDigits));
  if (!total || !count || *count > kMaxPackEntries || head_of(static_cast<std::size_t>(*count), *total) != head)
    return refused(MissReason::kCorrupt, "its first lines are damaged");
  if (*total > bytes.size()) return truncated();
  const auto entries = static_cast<std::size_t>(*count);
  if (*total < bytes.size() || *total > kMaxPackBytes || *total < index_bytes(entries))
    return refused(MissReason::kCorrupt, "its length is not the one that it names");

  const std::size_t checksum_at = index_bytes(entries) - PackRecord::kChecksumBytes;
  const XXH128_canonical_t checksum = checksum_of(bytes.data(), checksum_at);
  if (std::memcmp(&checksum, bytes.data() + checksum_at, sizeof checksum) != 0)
    return refused(MissReason::kCorrupt, "the checksum of its index does not match");

  const auto malformed = [](std::string_view what) {
    return refused(MissReason::kMalformed, fmt::format("its index is wrong, although its checksum is right: {}", what));
  };
  PackIndex index;
  index.records.resize(entries);
  // Entries follow each other as closely as their alignment allows, so that none overlaps another, leaves the file, or
  // hides bytes between.
  std::uint64_t end = index_bytes(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    PackRecord& record = index.records[i];
    if (!read_record(bytes.data() + kHeadBytes + i * kRecordBytes, record)) return malformed("a tag is not one");
    if (i > 0 && !precedes(index.records[i - 1].digest, index.records[i - 1].tag, record.digest, record.tag))
      return malformed("the entries are not in order, or one is there twice");
    if (record.offset != align_in_pack(end)) return malformed("an entry is not where it has to be");
    if (record.size == 0 || record.size > kMaxEntryBytes) return malformed("an entry has an impossible size");
    end = record.offset + record.size;  // at most 2^16 entries of 256 MiB: no overflow
    if (end > *total) return malformed("an entry reaches beyond the end");
  }
  if (end != *total) return malformed("there are bytes behind the last entry");
  if (entries > 0) {
    const std::size_t index_end = index_bytes(entries);
    if (text.substr(index_end, index.records.front().offset - index_end).find_first_not_of('\0') !=
        std::string_view::npos)
      return refused(MissReason::kCorrupt, "there are bytes between its index and its first entry");
  }
  return index;
}

}  // namespace flashmask::cache
