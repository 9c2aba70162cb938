#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask {

/// Absolute paths with ':' between; an empty text is an empty list. Nothing if one of them is empty or relative, which
/// elsewhere stands for the current directory: what is read there may be anybody's code.
std::optional<std::vector<std::string>> parse_path_list(std::string_view text);

/// The inverse, for paths without ':'.
std::string to_path_list(const std::vector<std::string>& paths);

}  // namespace flashmask
