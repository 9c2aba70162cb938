#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace flashmask::safetensors {

/// A file that appears under its name whole or not at all: it is written under a temporary name in the same directory
/// and renamed by commit(). Without commit() the temporary file is removed. Every call throws Error{kStorage} with the
/// path and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Flushes to storage, so that a power cut cannot publish a name without its content, and renames.
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace flashmask::safetensors
