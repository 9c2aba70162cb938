#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cache/entry.h"
#include "cache/store.h"

namespace flashmask::cache {

/// A directory of the test's own (0700), removed at its end. TMPDIR says where, if it is set.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    // In memory where the machine has that: thousands of small files need no disk to prove what they prove.
    const bool in_memory = access("/dev/shm", W_OK) == 0 && !getenv("TMPDIR");
    const std::filesystem::path parent = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "flashmask-cache-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot create " + pattern);
    path_ = pattern;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

  /// All regular files and links below, relative to the directory.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::recursive_directory_iterator(path_))
      if (item.is_symlink() || !item.is_directory())
        names.push_back(std::filesystem::relative(item.path(), path_).string());
    return names;
  }

 private:
  std::string path_;
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, std::string_view content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

inline constexpr const char* kTag = "nvrtc-13.0.88";

/// A small entry; the views are of literals.
inline EntryView sample_entry(const Digest& digest, std::string_view tag = kTag, std::string_view cubin = "ELF…cubin") {
  return {digest, tag, "{\"registers\": 168}", {{"cubin", bytes_of(cubin)}, {"ptx", bytes_of(".version 8.8")}}};
}

}  // namespace flashmask::cache
