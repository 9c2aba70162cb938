#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/digest.h"

// The names in a cache directory:
//
//   v1/ab/ab31…9c-nvrtc-13.0.88     an entry: digest, toolchain tag
//   v1/ab/.tmp-4711-18a…-0          one being written, or left by a process that was killed
//   v1/.locks                       empty; its bytes are locked, see byte_lock.h
namespace flashmask::cache {

/// The format's version: another version lives beside this one and neither touches the other's files.
inline constexpr const char* kVersionDirectory = "v1";
inline constexpr const char* kLockFile = ".locks";
/// Entries never begin with a dot.
inline constexpr std::string_view kTemporaryPrefix = ".tmp-";

/// The folder of a digest's entries: its first two digits. 256 folders keep each listing short with 10,000 entries.
std::string folder_of(const Digest& digest);
bool is_folder_name(std::string_view name);

/// The file of an entry within its folder: "ab31…9c-nvrtc-13.0.88".
std::string file_name_of(const Digest& digest, std::string_view tag);

struct FileName {
  Digest digest;
  std::string tag;
};
/// The inverse of file_name_of(), or nothing for any other name.
std::optional<FileName> parse_file_name(std::string_view name);

}  // namespace flashmask::cache
