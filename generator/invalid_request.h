#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace flashmask::generator {

/// A descriptor or configuration that breaks a rule; `rules()` lists every one.
class InvalidRequest : public std::invalid_argument {
 public:
  explicit InvalidRequest(std::vector<std::string> rules);
  const std::vector<std::string>& rules() const { return rules_; }

 private:
  std::vector<std::string> rules_;
};

/// A legal descriptor for which no configuration fits its target. `rules()` begins with the limit; every candidate
/// follows with its reasons.
class NoFittingTile : public InvalidRequest {
 public:
  using InvalidRequest::InvalidRequest;
};

}  // namespace flashmask::generator
