#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/lookup.h"

namespace flashmask::cache {

// The format of a pack.
//
//   flashmask-pack 1 <total bytes>\n      `head -1` shows what the file is; numbers are 16 hexadecimal digits
//   entries <count>\n
//   zeros up to byte 64
//   <count> records of 128 bytes, sorted by digest, then by tag:
//       digest      32 bytes
//       tag         64 bytes, filled with zeros
//       offset       8 bytes, big-endian, from the start of the file
//       size         8 bytes, big-endian
//       checksum    16 bytes: the last ones of the entry, so that the index stands for all content
//   XXH3-128 of everything above, big-endian
//   zeros up to a multiple of 64, entry; … once per record, in the order of the index
//
// An entry is what encode() makes, with its own checksum. There is no place for a time, a host or an order of writing:
// equal content has exactly one encoding.

/// Limits of a pack, which bound what a hostile one can make a reader allocate.
inline constexpr std::size_t kMaxPackEntries = std::size_t{1} << 16;
inline constexpr std::size_t kMaxPackBytes = std::size_t{16} << 30;

inline constexpr int kPackVersion = 1;
/// Every entry begins at a multiple of this many bytes from the start of the pack.
inline constexpr std::size_t kPackAlignment = kSectionAlignment;

/// What the index says of one entry.
struct PackRecord {
  static constexpr std::size_t kChecksumBytes = 16;
  Digest digest;
  std::string tag;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::array<std::byte, kChecksumBytes> checksum{};
};

/// The order of an index: by digest, then by tag, both as bytes.
bool precedes(const Digest& digest, std::string_view tag, const Digest& other_digest, std::string_view other_tag);

/// The next multiple of kPackAlignment.
std::uint64_t align_in_pack(std::uint64_t offset);
/// How many bytes the first line, the index and its checksum take.
std::uint64_t index_bytes(std::size_t entries);

/// Everything in front of the first entry's padding. The records must be sorted, their offsets and sizes right.
std::vector<std::byte> encode_index(std::span<const PackRecord> records, std::uint64_t total);

/// The records of a pack, or why the bytes are none: exactly one of `records` and `refusal` is meant. The bytes may be
/// hostile. Of what lies behind the index only the zeros in front of the first entry are looked at.
struct PackIndex {
  std::vector<PackRecord> records;
  MissReason reason = MissReason::kCorrupt;  ///< meaningful only with a refusal
  std::string refusal;                       ///< words that follow a name: "it is truncated"; empty: a sound index
};
PackIndex decode_index(std::span<const std::byte> bytes);

}  // namespace flashmask::cache
