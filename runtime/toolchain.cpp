#include "runtime/toolchain.h"

#include <algorithm>
#include <cctype>

namespace flashmask {
namespace {

constexpr std::string_view kTagPrefix = "nvrtc-";

}  // namespace

bool is_toolchain_policy(std::string_view policy) {
  if (policy.empty()) return true;
  const bool digits_and_dots = std::all_of(policy.begin(), policy.end(), [](unsigned char character) {
    return std::isdigit(character) || character == '.';
  });
  const auto dots = std::count(policy.begin(), policy.end(), '.');
  const bool every_number_there =
      policy.front() != '.' && policy.back() != '.' && policy.find("..") == std::string_view::npos;
  return digits_and_dots && every_number_there && policy.size() <= 32 && (dots == 0 || dots == 2);
}

std::string toolchain_tag(std::string_view toolchain) {
  std::string tag(toolchain);
  std::replace(tag.begin(), tag.end(), ' ', '-');
  return tag;
}

cache::TagPolicy wanted_tags(const std::string& policy) {
  if (policy.empty()) return cache::TagPolicy::any();
  return cache::TagPolicy::matching([policy](std::string_view tag) { return accepts_toolchain(policy, tag); });
}

bool accepts_toolchain(std::string_view policy, std::string_view tag) {
  if (policy.empty()) return true;
  if (!tag.starts_with(kTagPrefix)) return false;
  const std::string_view version = tag.substr(kTagPrefix.size());
  if (policy.find('.') != std::string_view::npos) return version == policy;
  return version.substr(0, version.find('.')) == policy;
}

}  // namespace flashmask
