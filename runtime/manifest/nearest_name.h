#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace flashmask {

/// The name that somebody who wrote `word` probably meant: the one with the fewest changed letters, if they are few.
std::optional<std::string_view> nearest_name(std::string_view word, std::span<const std::string_view> names);

}  // namespace flashmask
