#include "cache/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "cache/entry.h"

namespace flashmask::cache {
namespace {

constexpr std::size_t kFolderDigits = 2;
constexpr std::size_t kDigestDigits = 2 * Digest::kBytes;

}  // namespace

std::string folder_of(const Digest& digest) {
  return digest.hex().substr(0, kFolderDigits);
}

bool is_folder_name(std::string_view name) {
  return name.size() == kFolderDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string file_name_of(const Digest& digest, std::string_view tag) {
  return fmt::format("{}-{}", digest.hex(), tag);
}

std::optional<FileName> parse_file_name(std::string_view name) {
  if (name.size() <= kDigestDigits || name[kDigestDigits] != '-') return std::nullopt;
  const std::optional<Digest> digest = Digest::from_hex(name.substr(0, kDigestDigits));
  const std::string_view tag = name.substr(kDigestDigits + 1);
  if (!digest || !is_valid_name(tag)) return std::nullopt;
  return FileName{*digest, std::string(tag)};
}

}  // namespace flashmask::cache
