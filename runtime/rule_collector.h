#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace flashmask {

/// Collects the broken rules of one call; nothing is formatted or allocated while none is broken.
class RuleCollector {
 public:
  template <typename... Values>
  void require(bool kept, fmt::format_string<Values...> text, Values&&... values) {
    if (!kept) [[unlikely]]
      broken_.push_back(fmt::format(text, std::forward<Values>(values)...));
  }
  const std::vector<std::string>& broken() const { return broken_; }
  std::vector<std::string> take() { return std::move(broken_); }

 private:
  std::vector<std::string> broken_;
};

}  // namespace flashmask
