#pragma once

#include <span>
#include <string_view>

namespace flashmask::templates {

/// One file of this folder as it enters a kernel's text.
struct Template {
  std::string_view name;    ///< path in the folder: "primitives/mma.cuh"
  std::string_view digest;  ///< SHA-256 of `text`, lower-case hex
  std::string_view text;    ///< without #pragma once and #include lines
};

/// Every template, sorted by name. The data lives as long as the program.
std::span<const Template> all();

}  // namespace flashmask::templates
