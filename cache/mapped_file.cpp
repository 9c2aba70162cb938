#include "cache/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "cache/root.h"

namespace flashmask::cache {
namespace {

MappedFile::Opening refused(MissReason reason, std::string why) {
  return {nullptr, reason, std::move(why)};
}

MappedFile::Opening refused_by_system(long negative_errno) {
  const MissReason reason = negative_errno == -ENOENT ? MissReason::kAbsent : MissReason::kUnreadable;
  return refused(reason, words_for(negative_errno));
}

}  // namespace

MappedFile::Opening MappedFile::open(const std::string& path, std::size_t most, FileSystem& files) {
  const int number =
      uninterrupted([&] { return files.open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY, 0); });
  if (number == -ENXIO) return refused(MissReason::kNotARegularFile, "it is a socket or a device");
  if (number < 0) return refused_by_system(number);
  const std::shared_ptr<MappedFile> file(new MappedFile(files, number));

  struct stat status{};
  if (const int failure = files.status(number, status); failure < 0) return refused_by_system(failure);
  if (!S_ISREG(status.st_mode)) return refused(MissReason::kNotARegularFile, "it is not a regular file");
  if (status.st_uid != files.user() && status.st_uid != 0)
    return refused(
        MissReason::kForeignOwner,
        fmt::format("it belongs to user {}; only a file of user {} or root is used", status.st_uid, files.user()));
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return refused(MissReason::kLoosePermissions,
                   fmt::format("it may be written by others (mode {:04o})", status.st_mode & 07777));
  if (status.st_size <= 0) return refused(MissReason::kCorrupt, "it is empty");
  if (static_cast<std::uint64_t>(status.st_size) > most)
    return refused(MissReason::kTooLarge, fmt::format("it has {} bytes; at most {} are read", status.st_size, most));

  const auto size = static_cast<std::size_t>(status.st_size);
  if (const int failure = files.map(number, size, file->address_); failure < 0) return refused_by_system(failure);
  file->size_ = size;
  file->identity_ = FileIdentity::of(status);
  return {file, {}, {}};
}

MappedFile::~MappedFile() {
  if (address_) files_.unmap(address_, size_);
}

bool MappedFile::is_unchanged() const {
  struct stat status{};
  return files_.status(descriptor_.number(), status) == 0 && FileIdentity::of(status) == identity_;
}

}  // namespace flashmask::cache
