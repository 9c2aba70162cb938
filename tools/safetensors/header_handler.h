#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "tools/safetensors/layout.h"

namespace flashmask::safetensors {

/// A header that is not the JSON of the format; the text names the tensor and the rule, not the file.
class HeaderError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Turns the JSON of a header into its tensors, in the order of the text, with every field present exactly once. Nests
/// no deeper than the format itself, so deep JSON costs nothing. Offsets and shapes are not judged here.
/// Throws HeaderError.
Layout parse_header_json(std::string_view json);

}  // namespace flashmask::safetensors
