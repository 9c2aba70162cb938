#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "cache/descriptor.h"
#include "cache/file_identity.h"
#include "cache/file_system.h"
#include "cache/lookup.h"

namespace flashmask::cache {

/// A whole file, mapped read-only for the life of the object. Immutable and thread-safe; holds one descriptor (closed
/// on exec).
///
/// The pages are the file's own: who writes into the file changes what is read here, and who cuts it short makes a read
/// behind its new end a SIGBUS. No check can prevent that for good, so such a file is replaced by renaming another one
/// over it, never written in place; is_unchanged() notices the mistake in most cases before its bytes are touched.
class MappedFile {
 public:
  /// The file, or why it is not used: exactly one of `file` and `refusal` is filled.
  struct Opening;

  /// Maps a file that belongs to the user or to root, is writable by nobody else, and has 1 to `most` bytes. A symbolic
  /// link is followed and its target judged: deployments name the file of the day by a link, and who may exchange the
  /// link still cannot make a file that passes. Waits for nothing (a FIFO is refused).
  static Opening open(const std::string& path, std::size_t most, FileSystem& files);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {address_, size_}; }
  /// Whether the file still has the length and the time of change that it was mapped with.
  bool is_unchanged() const;

 private:
  MappedFile(FileSystem& files, int number) : files_(files), descriptor_(files, number) {}

  FileSystem& files_;
  Descriptor descriptor_;
  const std::byte* address_ = nullptr;  // null: not mapped
  std::size_t size_ = 0;
  FileIdentity identity_;
};

struct MappedFile::Opening {
  std::shared_ptr<const MappedFile> file;
  MissReason reason = MissReason::kAbsent;  ///< meaningful only without a file
  std::string refusal;                      ///< words that follow the path: "it is a directory"
};

}  // namespace flashmask::cache
