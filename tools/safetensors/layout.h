#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/safetensors/element_type.h"

namespace flashmask::safetensors {

/// A file starts with the length of its JSON header as 8 little-endian bytes.
inline constexpr std::size_t kLengthBytes = 8;
/// The format's own limit of a header.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// One tensor of a file: its data are the bytes [begin, end) behind the header.
struct TensorInfo {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t bytes() const { return end - begin; }
};

/// What a header says.
struct Layout {
  std::vector<TensorInfo> tensors;  ///< in the order of their data
  std::map<std::string, std::string> metadata;

  /// Null if there is none of this name.
  const TensorInfo* find(std::string_view name) const;
};

/// Bytes of a tensor; empty when the number overflows or its elements do not fill whole bytes.
std::optional<std::uint64_t> bytes_of(ElementType type, const std::vector<std::uint64_t>& shape);

/// Reads the length in front of the header. Throws Error{kInvalidArgument} when a file of `file_bytes` cannot have it.
std::uint64_t parse_header_length(const unsigned char (&prefix)[kLengthBytes], std::uint64_t file_bytes,
                                  const std::string& file);

/// Parses a header as hostile input and proves that its tensors tile the `data_bytes` behind it: unique names, known
/// types, no overflow, no overlap, no hole. `file` stands in the errors. Throws Error{kInvalidArgument} with the file,
/// the tensor and the rule.
Layout parse_layout(std::string_view json, std::uint64_t data_bytes, const std::string& file);

/// A text from a file as it may be shown on a terminal: in quotes, control characters escaped, shortened.
std::string printable(std::string_view text);
/// "[2, 128, 4, 64]".
std::string to_string(const std::vector<std::uint64_t>& shape);

}  // namespace flashmask::safetensors
