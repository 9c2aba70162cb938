#pragma once

#include <string>
#include <vector>

#include "runtime/manifest/toml_document.h"

namespace flashmask {

/// Every mistake of one text, so that they are told together.
class TextErrors {
 public:
  explicit TextErrors(std::string name) : name_(std::move(name)) {}

  void add(Place place, std::string what) { errors_.push_back({place, std::move(what)}); }
  bool empty() const { return errors_.empty(); }
  /// Throws Error{kInvalidArgument} with all of them in the order of the text, of many the first ones; nothing if there
  /// is none.
  void raise() const;

 private:
  std::string name_;
  std::vector<TextError> errors_;
};

}  // namespace flashmask
