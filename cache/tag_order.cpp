#include "cache/tag_order.h"

#include <algorithm>
#include <cstddef>

namespace flashmask::cache {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes the number at the front of `text`, without its leading zeros; empty for zero.
std::string_view take_number(std::string_view& text) {
  const auto* end = std::find_if_not(text.begin(), text.end(), is_digit);
  std::string_view digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

std::strong_ordering compare_tags(std::string_view a, std::string_view b) {
  std::string_view rest_a = a, rest_b = b;
  while (!rest_a.empty() && !rest_b.empty()) {
    // A number against a character stands where its digits stand among characters, so the order is transitive.
    if (is_digit(rest_a.front()) && is_digit(rest_b.front())) {
      const std::string_view number_a = take_number(rest_a), number_b = take_number(rest_b);
      if (const auto order = number_a.size() <=> number_b.size(); order != 0) return order;
      if (const auto order = number_a <=> number_b; order != 0) return order;
    } else {
      if (const auto order = rest_a.front() <=> rest_b.front(); order != 0) return order;
      rest_a.remove_prefix(1);
      rest_b.remove_prefix(1);
    }
  }
  if (const auto order = rest_a.size() <=> rest_b.size(); order != 0) return order;  // one of them is empty
  return a <=> b;
}

bool is_newer_tag(std::string_view a, std::string_view b) {
  return compare_tags(a, b) > 0;
}

}  // namespace flashmask::cache
