#include "generator/invalid_request.h"

#include <utility>

namespace flashmask::generator {
namespace {

std::string join(const std::vector<std::string>& rules) {
  std::string text;
  for (const std::string& rule : rules) text += (text.empty() ? "" : "\n") + rule;
  return text;
}

}  // namespace

InvalidRequest::InvalidRequest(std::vector<std::string> rules)
    : invalid_argument(join(rules)), rules_(std::move(rules)) {}

}  // namespace flashmask::generator
