#include "runtime/path_list.h"

#include <cstddef>

namespace flashmask {

std::optional<std::vector<std::string>> parse_path_list(std::string_view text) {
  std::vector<std::string> paths;
  if (text.empty()) return paths;
  for (;;) {
    const std::size_t end = text.find(':');
    if (!text.starts_with('/')) return std::nullopt;
    paths.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return paths;
    text.remove_prefix(end + 1);
  }
}

std::string to_path_list(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text.append(text.empty() ? "" : ":").append(path);
  return text;
}

}  // namespace flashmask
