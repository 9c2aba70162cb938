#include "runtime/manifest/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace flashmask {
namespace {

constexpr std::size_t kLongestWord = 64;

/// Letters put in, left out or replaced to make one of the other, by the rows of Wagner and Fischer's table.
std::size_t changed_letters(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t above_left = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = above_left + (from[i] == to[j] ? 0 : 1);
      above_left = row[j + 1];
      row[j + 1] = std::min({replaced, row[j + 1] + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string_view> nearest_name(std::string_view word, std::span<const std::string_view> names) {
  if (word.size() > kLongestWord) return std::nullopt;
  std::optional<std::string_view> nearest;
  std::size_t fewest = std::max<std::size_t>(2, word.size() / 2) + 1;
  for (const std::string_view name : names) {
    // "dim" is meant for "head_dim" however much is left out.
    const std::size_t changed = name.find(word) != name.npos && word.size() > 2 ? 1 : changed_letters(word, name);
    if (changed < fewest) {
      fewest = changed;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace flashmask
