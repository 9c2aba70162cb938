#include "cache/entry_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "cache/root.h"

namespace flashmask::cache {
namespace {

int open_to_read(FileSystem& files, int folder, const std::string& name) {
  // O_NONBLOCK: a FIFO in the place of an entry must not hold us up.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  return uninterrupted([&] { return files.open_at(folder, name.c_str(), kFlags, 0); });
}

}  // namespace

EntryFile::EntryFile(FileSystem& files, int folder, const std::string& name)
    : files_(files), descriptor_(files, open_to_read(files, folder, name)) {
  judge();
}

void EntryFile::judge() {
  const auto refuse = [this](MissReason reason, std::string detail) {
    defect_ = reason;
    detail_ = std::move(detail);
  };
  const int number = descriptor_.number();
  stale_ = number == -ESTALE;
  if (number == -ENOENT) return refuse(MissReason::kAbsent, "");
  if (number == -ELOOP) return refuse(MissReason::kNotARegularFile, "it is a symbolic link");
  if (number == -ENXIO) return refuse(MissReason::kNotARegularFile, "it is a socket or a device");
  if (number < 0) return refuse(MissReason::kUnreadable, words_for(number));

  if (const int failure = uninterrupted([&] { return files_.status(number, status_); }); failure < 0) {
    stale_ = failure == -ESTALE;
    return refuse(MissReason::kUnreadable, words_for(failure));
  }
  if (!S_ISREG(status_.st_mode)) return refuse(MissReason::kNotARegularFile, "it is not a regular file");
  if (status_.st_uid != files_.user() && status_.st_uid != 0)
    return refuse(MissReason::kForeignOwner, fmt::format("it belongs to user {}", status_.st_uid));
  if (status_.st_mode & (S_IWGRP | S_IWOTH))
    return refuse(MissReason::kLoosePermissions, "it may be written by others; remove it, or chmod go-w it");
  if (status_.st_size < 0 || static_cast<std::uint64_t>(status_.st_size) > kMaxEntryBytes)
    return refuse(MissReason::kTooLarge, fmt::format("{} bytes; at most {} are read", status_.st_size, kMaxEntryBytes));
}

ssize_t EntryFile::fill(std::span<std::byte> into) {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const ssize_t got = uninterrupted([&] { return files_.read(descriptor_.number(), into.subspan(filled)); });
    if (got < 0) {
      stale_ = got == -ESTALE;
      return got;
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(filled);
}

LookupResult EntryFile::read(const Digest& digest, std::string_view tag, const Validator& validator) {
  const auto size = static_cast<std::size_t>(status_.st_size);
  const auto bytes = std::make_shared_for_overwrite<std::byte[]>(size);
  const ssize_t filled = fill(std::span(bytes.get(), size));
  if (filled < 0) return miss(MissReason::kUnreadable, words_for(filled));

  auto decoded = decode(bytes, static_cast<std::size_t>(filled));
  if (const EntryDefect* defect = std::get_if<EntryDefect>(&decoded))
    return miss(reason_of(*defect), std::string(describe(*defect)));
  Entry& entry = std::get<Entry>(decoded);
  // A good entry under another's name: somebody copied or exchanged files.
  if (entry.digest() != digest || entry.toolchain_tag() != tag)
    return miss(MissReason::kWrongName, fmt::format("it holds {}-{}", entry.digest().hex(), entry.toolchain_tag()));
  if (validator)
    if (std::optional<std::string> refusal = validator(entry)) return miss(MissReason::kRefused, std::move(*refusal));
  LookupResult hit;
  hit.entry = std::move(entry);
  return hit;
}

std::optional<LookupResult> EntryFile::glance() {
  std::array<std::byte, kStartBytes> start;
  const auto size = static_cast<std::size_t>(status_.st_size);
  const ssize_t filled = fill(std::span(start).first(std::min(size, start.size())));
  if (filled < 0) return miss(MissReason::kUnreadable, words_for(filled));
  const auto defect = judge_start(std::span(start).first(static_cast<std::size_t>(filled)), size);
  if (!defect) return std::nullopt;
  return miss(reason_of(*defect), std::string(describe(*defect)));
}

Unlinking unlink_judged(FileSystem& files, int folder, const std::string& name, const FileIdentity& judged) {
  struct stat current{};
  const int looked = uninterrupted([&] { return files.status_at(folder, name.c_str(), current); });
  if (looked == -ENOENT) return Unlinking::kGone;
  if (looked < 0) return Unlinking::kFailed;
  if (FileIdentity::of(current) != judged) return Unlinking::kChanged;
  const int removed = uninterrupted([&] { return files.unlink_at(folder, name.c_str()); });
  if (removed == -ENOENT) return Unlinking::kGone;
  return removed < 0 ? Unlinking::kFailed : Unlinking::kRemoved;
}

Unlinking unlink_entry(FileSystem& files, int folder, const std::string& name, const FileIdentity& judged) {
  {
    EntryFile file(files, folder, name);
    if (file.defect() == MissReason::kAbsent) return Unlinking::kGone;
    if (file.defect() == MissReason::kUnreadable) return Unlinking::kFailed;
    // A file that others may write is served to nobody, but it is still ours to remove.
    if (file.defect() && file.defect() != MissReason::kLoosePermissions) return Unlinking::kForeign;
    const std::optional<LookupResult> seen = file.glance();
    if (seen && seen->reason == MissReason::kUnreadable) return Unlinking::kFailed;
    if (seen && seen->reason != MissReason::kCorrupt) return Unlinking::kForeign;
  }
  return unlink_judged(files, folder, name, judged);
}

}  // namespace flashmask::cache
