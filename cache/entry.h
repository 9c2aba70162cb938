#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/digest.h"

namespace flashmask::cache {

/// Limits of an entry. They bound what a hostile file can make a reader allocate.
inline constexpr std::size_t kMaxEntryBytes = std::size_t{256} << 20;
inline constexpr std::size_t kMaxMetadataBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxSections = 16;
inline constexpr std::size_t kMaxNameBytes = 64;  // of a toolchain tag or a section's name

/// Every section begins at a multiple of this many bytes from the start of the entry.
inline constexpr std::size_t kSectionAlignment = 64;

/// One named run of bytes, owned by someone else.
struct SectionView {
  std::string_view name;
  std::span<const std::byte> bytes;
};

/// What is to be written: all memory belongs to the caller and must outlive the view.
struct EntryView {
  Digest digest;
  std::string_view toolchain_tag;
  std::string_view metadata;  // opaque, readable text: UTF-8 without NUL; stands at the front of the file
  std::vector<SectionView> sections;
};

/// True for a name that may be a toolchain tag or a section: 1 to 64 of [A-Za-z0-9._+-], not beginning with '.' or '-'.
/// Such a name can never leave the cache's directory.
bool is_valid_name(std::string_view name);

/// A decoded entry: views into bytes that it shares with its copies. Immutable and thread-safe.
/// Views taken from it live as long as any copy of it does.
class Entry {
 public:
  const Digest& digest() const { return digest_; }
  std::string_view toolchain_tag() const { return toolchain_tag_; }
  std::string_view metadata() const { return metadata_; }
  const std::vector<SectionView>& sections() const { return sections_; }

  /// The bytes of a section, or nothing if the entry has none of that name. At least 16-byte aligned.
  std::optional<std::span<const std::byte>> section(std::string_view name) const;

  /// The whole encoded entry: what lies in the file.
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }

 private:
  friend class EntryReader;
  std::shared_ptr<const std::byte[]> bytes_;
  std::size_t size_ = 0;
  Digest digest_;
  std::string_view toolchain_tag_;
  std::string_view metadata_;
  std::vector<SectionView> sections_;
};

/// Why bytes are not an entry.
enum class EntryDefect {
  kForeign,        // does not begin with our magic: somebody else's file
  kOtherVersion,   // our magic, another format version
  kTruncated,      // begins like ours and ends before its own length
  kWrongLength,    // longer than its own length, or a length over the limits
  kWrongChecksum,  // changed after it was written
  kMalformed,      // checksum right, structure wrong: written by something that is not us
};

/// A defect as words for a log line.
std::string_view describe(EntryDefect defect);

/// What the first line says of a file of `file_bytes` bytes that begins with `start`: a defect that is visible without
/// reading on, or nothing. kStartBytes of it suffice, or the whole file if it is shorter.
inline constexpr std::size_t kStartBytes = 64;
std::optional<EntryDefect> judge_start(std::span<const std::byte> start, std::size_t file_bytes);

/// Encodes an entry; equal input gives equal bytes. Throws std::invalid_argument, naming the limit or rule, if a name
/// is invalid or repeated, the metadata holds a NUL, or a limit above is exceeded.
std::vector<std::byte> encode(const EntryView& view);

/// Decodes an entry. The bytes may be hostile. The entry shares ownership of them; they may be a mapping with a deleter
/// of its own, as long as nobody changes them.
std::variant<Entry, EntryDefect> decode(std::shared_ptr<const std::byte[]> bytes, std::size_t size);

}  // namespace flashmask::cache
