#include "cache/entry.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace flashmask::cache {

// The format. Lines of ASCII text up to "data", so that `head` shows what a file is; numbers are 16 hexadecimal digits,
// so that equal content has one encoding.
//
//   flashmask-entry 1 <total bytes>\n
//   digest <64 digits>\n
//   toolchain <tag>\n
//   metadata <bytes>\n
//   <metadata>\n
//   section <bytes> <name>\n          once per section
//   data\n
//   zeros up to a multiple of 64, section; … once per section; zeros up to a multiple of 64
//   XXH3-128 of everything above, big-endian
namespace {

constexpr std::string_view kMagic = "flashmask-entry ";
constexpr std::string_view kVersion = "1 ";
constexpr std::size_t kNumberDigits = 16;
constexpr std::size_t kFirstLineBytes = kMagic.size() + kVersion.size() + kNumberDigits + 1;
constexpr std::size_t kChecksumBytes = sizeof(XXH128_canonical_t);

std::size_t align_up(std::size_t offset) {
  return (offset + kSectionAlignment - 1) & ~(kSectionAlignment - 1);
}

XXH128_canonical_t checksum_of(const void* data, std::size_t size) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
  return canonical;
}

void check_encodable(const EntryView& view) {
  if (!is_valid_name(view.toolchain_tag))
    throw std::invalid_argument(fmt::format(
        "cache entry: the toolchain tag \"{}\" is not 1 to {} of [A-Za-z0-9._+-], beginning with neither '.' nor '-'",
        view.toolchain_tag, kMaxNameBytes));
  if (view.metadata.size() > kMaxMetadataBytes)
    throw std::invalid_argument(
        fmt::format("cache entry: {} bytes of metadata; at most {} fit", view.metadata.size(), kMaxMetadataBytes));
  if (view.metadata.find('\0') != std::string_view::npos)
    throw std::invalid_argument("cache entry: the metadata is text and may not hold a NUL");
  if (view.sections.size() > kMaxSections)
    throw std::invalid_argument(
        fmt::format("cache entry: {} sections; at most {} fit", view.sections.size(), kMaxSections));
  for (std::size_t i = 0; i < view.sections.size(); ++i) {
    const std::string_view name = view.sections[i].name;
    if (!is_valid_name(name))
      throw std::invalid_argument(fmt::format(
          "cache entry: the section name \"{}\" is not 1 to {} of [A-Za-z0-9._+-], beginning with neither '.' nor '-'",
          name, kMaxNameBytes));
    for (std::size_t j = 0; j < i; ++j)
      if (view.sections[j].name == name)
        throw std::invalid_argument(fmt::format("cache entry: two sections are named \"{}\"", name));
    if (view.sections[i].bytes.size() > kMaxEntryBytes)
      throw std::invalid_argument(fmt::format("cache entry: section \"{}\" has {} bytes; an entry has at most {}", name,
                                              view.sections[i].bytes.size(), kMaxEntryBytes));
  }
}

/// Walks over text whose end it never passes; every step says whether it could be taken.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::size_t position() const { return position_; }

  bool literal(std::string_view expected) {
    if (!text_.substr(position_).starts_with(expected)) return false;
    position_ += expected.size();
    return true;
  }

  bool take(std::size_t size, std::string_view& taken) {
    if (size > text_.size() - position_) return false;
    taken = text_.substr(position_, size);
    position_ += size;
    return true;
  }

  bool number(std::size_t& value) {
    std::string_view digits;
    if (!take(kNumberDigits, digits)) return false;
    std::uint64_t parsed = 0;
    for (char digit : digits) {
      const bool decimal = digit >= '0' && digit <= '9';
      if (!decimal && (digit < 'a' || digit > 'f')) return false;
      parsed = parsed << 4 | static_cast<std::uint64_t>(decimal ? digit - '0' : digit - 'a' + 10);
    }
    value = parsed;
    return true;
  }

  bool name_and_newline(std::string_view& name) {
    const std::string_view rest = text_.substr(position_, kMaxNameBytes + 1);
    const std::size_t length = rest.find('\n');
    if (length == std::string_view::npos || !is_valid_name(rest.substr(0, length))) return false;
    name = rest.substr(0, length);
    position_ += length + 1;
    return true;
  }

  /// Zeros up to the next multiple of kSectionAlignment.
  bool padding() {
    std::string_view zeros;
    return take(align_up(position_) - position_, zeros) && zeros.find_first_not_of('\0') == std::string_view::npos;
  }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
};

/// What the first line says of the file, judged before anything else is believed. On success the length that the entry
/// claims is within the limits and equal to the file's.
std::optional<EntryDefect> judge_first_line(std::string_view text, std::size_t file_bytes) {
  const std::string_view start = text.substr(0, kMagic.size());
  if (start != kMagic) return kMagic.starts_with(start) ? EntryDefect::kTruncated : EntryDefect::kForeign;
  const std::string_view version = text.substr(kMagic.size(), kVersion.size());
  if (version != kVersion) return kVersion.starts_with(version) ? EntryDefect::kTruncated : EntryDefect::kOtherVersion;
  if (text.size() < kFirstLineBytes) return EntryDefect::kTruncated;
  Cursor cursor(text);
  std::size_t total = 0;
  if (!cursor.literal(kMagic) || !cursor.literal(kVersion) || !cursor.number(total) || !cursor.literal("\n"))
    return EntryDefect::kWrongChecksum;  // a line that we never write: changed afterwards
  if (total > kMaxEntryBytes || total < file_bytes) return EntryDefect::kWrongLength;
  if (total > file_bytes) return EntryDefect::kTruncated;
  if (total < kFirstLineBytes + kChecksumBytes) return EntryDefect::kWrongLength;
  return std::nullopt;
}

}  // namespace

bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name.front() == '.' || name.front() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '+' || c == '-';
  });
}

std::optional<std::span<const std::byte>> Entry::section(std::string_view name) const {
  for (const SectionView& section : sections_)
    if (section.name == name) return section.bytes;
  return std::nullopt;
}

std::string_view describe(EntryDefect defect) {
  switch (defect) {
    case EntryDefect::kForeign:
      return "it is not a FlashMask cache entry";
    case EntryDefect::kOtherVersion:
      return "it has another format version";
    case EntryDefect::kTruncated:
      return "it is truncated";
    case EntryDefect::kWrongLength:
      return "its length is not the one that it names";
    case EntryDefect::kWrongChecksum:
      return "its checksum does not match its content";
    case EntryDefect::kMalformed:
      return "its structure is wrong, although its checksum is right";
  }
  return "it is damaged";
}

std::optional<EntryDefect> judge_start(std::span<const std::byte> start, std::size_t file_bytes) {
  static_assert(kStartBytes >= kFirstLineBytes);
  return judge_first_line({reinterpret_cast<const char*>(start.data()), start.size()}, file_bytes);
}

std::vector<std::byte> encode(const EntryView& view) {
  check_encodable(view);
  std::string head = fmt::format("digest {}\ntoolchain {}\nmetadata {:016x}\n", view.digest.hex(), view.toolchain_tag,
                                 view.metadata.size());
  head.append(view.metadata).append("\n");
  for (const SectionView& section : view.sections)
    head += fmt::format("section {:016x} {}\n", section.bytes.size(), section.name);
  head += "data\n";

  // Neither sum can overflow: at most 16 sections of at most 256 MiB.
  std::size_t total = align_up(kFirstLineBytes + head.size());
  for (const SectionView& section : view.sections) total = align_up(total + section.bytes.size());
  total += kChecksumBytes;
  if (total > kMaxEntryBytes)
    throw std::invalid_argument(fmt::format("cache entry: {} bytes; at most {} fit", total, kMaxEntryBytes));
  head = fmt::format("{}{}{:016x}\n", kMagic, kVersion, total) + head;

  std::vector<std::byte> bytes(total);  // zeros: the padding
  std::memcpy(bytes.data(), head.data(), head.size());
  std::size_t offset = align_up(head.size());
  for (const SectionView& section : view.sections) {
    if (!section.bytes.empty()) std::memcpy(bytes.data() + offset, section.bytes.data(), section.bytes.size());
    offset = align_up(offset + section.bytes.size());
  }
  const XXH128_canonical_t checksum = checksum_of(bytes.data(), offset);
  std::memcpy(bytes.data() + offset, &checksum, kChecksumBytes);
  return bytes;
}

/// Fills an Entry from bytes; a friend of it, so that nobody else can make one that was not checked.
class EntryReader {
 public:
  static std::variant<Entry, EntryDefect> read(std::shared_ptr<const std::byte[]> bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.get()), size);
    if (const auto defect = judge_first_line(text, size)) return *defect;
    const std::size_t content = size - kChecksumBytes;
    const XXH128_canonical_t checksum = checksum_of(bytes.get(), content);
    if (std::memcmp(&checksum, bytes.get() + content, kChecksumBytes) != 0) return EntryDefect::kWrongChecksum;

    Entry entry;
    if (!read_structure(text.substr(0, content), entry)) return EntryDefect::kMalformed;
    entry.bytes_ = std::move(bytes);
    entry.size_ = size;
    return entry;
  }

 private:
  static bool read_structure(std::string_view content, Entry& entry) {
    Cursor cursor(content);
    std::string_view ignored, digest;
    std::size_t metadata_bytes = 0;
    if (!cursor.take(kFirstLineBytes, ignored)) return false;
    if (!cursor.literal("digest ") || !cursor.take(2 * Digest::kBytes, digest) || !cursor.literal("\n")) return false;
    const std::optional<Digest> parsed = Digest::from_hex(digest);
    if (!parsed) return false;
    entry.digest_ = *parsed;
    if (!cursor.literal("toolchain ") || !cursor.name_and_newline(entry.toolchain_tag_)) return false;
    if (!cursor.literal("metadata ") || !cursor.number(metadata_bytes) || !cursor.literal("\n")) return false;
    if (metadata_bytes > kMaxMetadataBytes || !cursor.take(metadata_bytes, entry.metadata_) || !cursor.literal("\n"))
      return false;
    if (entry.metadata_.find('\0') != std::string_view::npos) return false;

    std::array<std::size_t, kMaxSections> sizes{};
    while (!cursor.literal("data\n")) {
      SectionView section;
      const std::size_t count = entry.sections_.size();
      if (count == kMaxSections) return false;
      if (!cursor.literal("section ") || !cursor.number(sizes[count]) || !cursor.literal(" ")) return false;
      if (!cursor.name_and_newline(section.name) || entry.section(section.name)) return false;
      entry.sections_.push_back(section);
    }
    if (!cursor.padding()) return false;
    for (std::size_t i = 0; i < entry.sections_.size(); ++i) {
      std::string_view bytes;
      if (!cursor.take(sizes[i], bytes) || !cursor.padding()) return false;
      entry.sections_[i].bytes = std::as_bytes(std::span(bytes.data(), bytes.size()));
    }
    return cursor.position() == content.size();
  }
};

std::variant<Entry, EntryDefect> decode(std::shared_ptr<const std::byte[]> bytes, std::size_t size) {
  return EntryReader::read(std::move(bytes), size);
}

}  // namespace flashmask::cache
