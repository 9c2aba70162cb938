#include "cache/pack_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "cache/pack_format.h"

namespace flashmask::cache {
namespace {

/// The bytes that stand for an entry in a pack; the buffer holds them if they are not the entry's own.
std::span<const std::byte> packed_bytes(const Entry& entry, const std::vector<std::string>& drop_sections,
                                        std::vector<std::byte>& buffer) {
  const auto is_dropped = [&](const SectionView& section) {
    return std::find(drop_sections.begin(), drop_sections.end(), section.name) != drop_sections.end();
  };
  if (std::none_of(entry.sections().begin(), entry.sections().end(), is_dropped)) return entry.bytes();
  EntryView kept{entry.digest(), entry.toolchain_tag(), entry.metadata(), entry.sections()};
  std::erase_if(kept.sections, is_dropped);
  buffer = encode(kept);
  return buffer;
}

/// Of the entry that the source gives for a name.
class Walk {
 public:
  Walk(const EntrySource& source, const PackOptions& options, std::size_t names)
      : source_(source), options_(options), all_(2 * names) {}

  template <typename Use>
  void step(const PackName& name, Use&& use) {
    const Entry entry = source_(name);
    if (entry.digest() != name.digest || entry.toolchain_tag() != name.tag)
      throw PackError(fmt::format("asked for the entry {}-{}, the source gave {}-{}", name.digest.hex(), name.tag,
                                  entry.digest().hex(), entry.toolchain_tag()));
    std::vector<std::byte> buffer;
    use(packed_bytes(entry, options_.drop_sections, buffer));
    if (options_.progress) options_.progress(++done_, all_);
  }

 private:
  const EntrySource& source_;
  const PackOptions& options_;
  std::size_t done_ = 0;
  const std::size_t all_;
};

}  // namespace

PackSize write_pack(AtomicFile& file, std::vector<PackName> names, const EntrySource& source,
                    const PackOptions& options) {
  if (names.size() > kMaxPackEntries)
    throw PackError(fmt::format("{} entries; a pack holds at most {}", names.size(), kMaxPackEntries));
  std::sort(names.begin(), names.end(),
            [](const PackName& a, const PackName& b) { return precedes(a.digest, a.tag, b.digest, b.tag); });
  for (std::size_t i = 1; i < names.size(); ++i)
    if (names[i - 1].digest == names[i].digest && names[i - 1].tag == names[i].tag)
      throw PackError(
          fmt::format("the entry {}-{} is named twice; a pack holds it once", names[i].digest.hex(), names[i].tag));

  Walk walk(source, options, names.size());
  std::vector<PackRecord> records;
  records.reserve(names.size());
  std::uint64_t end = index_bytes(names.size());
  for (const PackName& name : names)
    walk.step(name, [&](std::span<const std::byte> bytes) {
      PackRecord& record =
          records.emplace_back(PackRecord{name.digest, name.tag, align_in_pack(end), bytes.size(), {}});
      std::ranges::copy(bytes.last(PackRecord::kChecksumBytes), record.checksum.begin());
      end = record.offset + record.size;
    });
  if (end > kMaxPackBytes)
    throw PackError(fmt::format("a pack of {} bytes; at most {} are allowed", end, kMaxPackBytes));

  constexpr std::array<std::byte, kPackAlignment> kZeros{};
  file.write(encode_index(records, end));
  std::uint64_t written = index_bytes(records.size());
  for (std::size_t i = 0; i < names.size(); ++i)
    walk.step(names[i], [&](std::span<const std::byte> bytes) {
      const PackRecord& record = records[i];
      if (bytes.size() != record.size || !std::ranges::equal(bytes.last(PackRecord::kChecksumBytes), record.checksum))
        throw PackError(fmt::format("the entry {}-{} was changed while it was packed; pack again",
                                    names[i].digest.hex(), names[i].tag));
      file.write(std::span(kZeros).first(record.offset - written));
      file.write(bytes);
      written = record.offset + record.size;
    });
  return {records.size(), end};
}

}  // namespace flashmask::cache
