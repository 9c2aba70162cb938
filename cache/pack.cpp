#include "cache/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "cache/directory.h"
#include "cache/tag_order.h"

namespace flashmask::cache {
namespace {

constexpr std::size_t kSectionsNeedAlignment = 16;  // what Entry::section() promises

/// What mends a pack that is refused, as the end of a sentence; empty where no command does.
std::string mend_of(MissReason reason, const std::string& path) {
  switch (reason) {
    case MissReason::kLoosePermissions:
      return fmt::format(": chmod go-w {}", quoted_for_shell(path));
    case MissReason::kForeignOwner:
      return ": copy it to a place of your own, or have root own it";
    case MissReason::kCorrupt:
    case MissReason::kMalformed:
      return "; copy or export it anew";
    default:
      return "";
  }
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Pack::Opening Pack::open(const std::string& path, FileSystem& files) {
  const auto refused = [&](MissReason reason, std::string_view why) {
    return Opening{nullptr, reason, fmt::format("the pack {}: {}{}", path, why, mend_of(reason, path))};
  };
  MappedFile::Opening mapped = MappedFile::open(path, kMaxPackBytes, files);
  if (!mapped.file) return refused(mapped.reason, mapped.refusal);
  PackIndex index = decode_index(mapped.file->bytes());
  if (!index.refusal.empty()) return refused(index.reason, index.refusal);
  const std::shared_ptr<Pack> pack(new Pack);
  pack->name_ = path;
  pack->bytes_ = mapped.file->bytes();
  pack->file_ = std::move(mapped.file);
  pack->records_ = std::move(index.records);
  return {pack, {}, {}};
}

Pack::Opening Pack::from_memory(std::span<const std::byte> bytes, std::string name) {
  PackIndex index = decode_index(bytes);
  if (!index.refusal.empty()) return {nullptr, index.reason, fmt::format("the pack {}: {}", name, index.refusal)};
  const std::shared_ptr<Pack> pack(new Pack);
  pack->name_ = std::move(name);
  pack->bytes_ = bytes;
  pack->records_ = std::move(index.records);
  return {pack, {}, {}};
}

LookupResult Pack::lookup(const Digest& digest, const TagPolicy& policy, const Validator& validator) const {
  const auto first =
      std::lower_bound(records_.begin(), records_.end(), digest,
                       [](const PackRecord& record, const Digest& wanted) { return record.digest < wanted; });
  auto end = first;
  while (end != records_.end() && end->digest == digest) ++end;
  if (first == end) return miss(MissReason::kAbsent);

  std::vector<const PackRecord*> candidates;
  for (auto record = first; record != end; ++record)
    if (policy.accepts(record->tag)) candidates.push_back(&*record);
  if (candidates.empty())
    return miss(MissReason::kOtherToolchain, fmt::format("the pack {}: {} of other toolchains, the first {}-{}", name_,
                                                         end - first, digest.hex(), first->tag));
  std::sort(candidates.begin(), candidates.end(),
            [](const PackRecord* a, const PackRecord* b) { return is_newer_tag(a->tag, b->tag); });
  std::optional<LookupResult> first_miss;
  for (const PackRecord* candidate : candidates) {
    LookupResult result = read(*candidate, validator);
    if (result) return result;
    if (!first_miss) first_miss = std::move(result);
  }
  return std::move(*first_miss);
}

LookupResult Pack::read(const PackRecord& record, const Validator& validator) const {
  const auto missed = [&](MissReason reason, std::string_view why) {
    return miss(reason, fmt::format("the pack {}: {}-{}: {}", name_, record.digest.hex(), record.tag, why));
  };
  if (file_ && !file_->is_unchanged())
    return missed(MissReason::kCorrupt,
                  "the file was written to after it was opened; replace a pack by renaming another file over it");

  const auto offset = static_cast<std::size_t>(record.offset), size = static_cast<std::size_t>(record.size);
  const std::span<const std::byte> bytes = bytes_.subspan(offset, size);
  std::shared_ptr<const std::byte[]> shared(file_, bytes.data());
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kSectionsNeedAlignment != 0) {
    const auto copy = std::make_shared_for_overwrite<std::byte[]>(size);
    std::memcpy(copy.get(), bytes.data(), size);
    shared = copy;
  }
  auto decoded = decode(std::move(shared), size);
  if (const EntryDefect* defect = std::get_if<EntryDefect>(&decoded))
    return missed(reason_of(*defect), describe(*defect));
  Entry& entry = std::get<Entry>(decoded);
  if (entry.digest() != record.digest || entry.toolchain_tag() != record.tag)
    return missed(MissReason::kWrongName, fmt::format("it holds {}-{}", entry.digest().hex(), entry.toolchain_tag()));
  // Sound in itself, but not what the pack was made of.
  const std::size_t next = std::min<std::size_t>(align_in_pack(offset + size), bytes_.size());
  if (!std::ranges::equal(bytes.last(PackRecord::kChecksumBytes), record.checksum) ||
      !is_zero(bytes_.subspan(offset + size, next - offset - size)))
    return missed(MissReason::kCorrupt, "it is not the entry that the index was made for");
  if (validator)
    if (const std::optional<std::string> refusal = validator(entry)) return missed(MissReason::kRefused, *refusal);
  LookupResult hit;
  hit.entry = std::move(entry);
  return hit;
}

}  // namespace flashmask::cache
