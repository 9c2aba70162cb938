#include "tools/safetensors/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "flashmask/error.h"
#include "tools/safetensors/header_handler.h"

namespace flashmask::safetensors {
namespace {

constexpr std::size_t kShownCharacters = 60;
constexpr std::size_t kShownDimensions = 12;

[[noreturn]] void refuse(const std::string& file, const std::string& rule) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", file, rule),
              "the file is not valid safetensors, or it was cut; write it again");
}

/// Throws unless the tensors, in the order of their data, follow each other from 0 to `data_bytes`.
void check_tiling(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes, const std::string& file) {
  std::uint64_t expected = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin < expected) {
      refuse(file,
             fmt::format("tensor {}: its data start at byte {}, inside another tensor that ends at {}; tensors must "
                         "not overlap",
                         printable(tensor.name), tensor.begin, expected));
    }
    if (tensor.begin > expected) {
      refuse(file,
             fmt::format("tensor {}: its data start at byte {}, but the tensor before ends at {}; no hole is allowed",
                         printable(tensor.name), tensor.begin, expected));
    }
    expected = tensor.end;
  }
  if (expected != data_bytes) {
    refuse(file,
           fmt::format("the tensors end at byte {}, but the file holds {} bytes of data; no byte may belong to none",
                       expected, data_bytes));
  }
}

void check_tensor(const TensorInfo& tensor, std::uint64_t data_bytes, const std::string& file) {
  if (tensor.begin > tensor.end) {
    refuse(file, fmt::format("tensor {}: data_offsets [{}, {}]: begin <= end is needed", printable(tensor.name),
                             tensor.begin, tensor.end));
  }
  if (tensor.end > data_bytes) {
    refuse(file, fmt::format("tensor {}: data_offsets [{}, {}] leave the {} bytes of data that the file holds",
                             printable(tensor.name), tensor.begin, tensor.end, data_bytes));
  }
  const std::optional<std::uint64_t> needed = bytes_of(tensor.type, tensor.shape);
  if (!needed) {
    refuse(file, fmt::format("tensor {}: the size of shape {} overflows, or its {} elements do not fill whole bytes",
                             printable(tensor.name), to_string(tensor.shape), to_string(tensor.type)));
  }
  if (*needed != tensor.bytes()) {
    refuse(file, fmt::format("tensor {}: {} of shape {} needs {} bytes, but data_offsets [{}, {}] give {}",
                             printable(tensor.name), to_string(tensor.type), to_string(tensor.shape), *needed,
                             tensor.begin, tensor.end, tensor.bytes()));
  }
}

}  // namespace

const TensorInfo* Layout::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const TensorInfo& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::optional<std::uint64_t> bytes_of(ElementType type, const std::vector<std::uint64_t>& shape) {
  auto bits = static_cast<std::uint64_t>(bits_per_element(type));
  for (std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bits, extent, &bits)) return std::nullopt;
  }
  if (bits % 8 != 0) return std::nullopt;
  return bits / 8;
}

std::uint64_t parse_header_length(const unsigned char (&prefix)[kLengthBytes], std::uint64_t file_bytes,
                                  const std::string& file) {
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > kMaxHeaderBytes) {
    refuse(file, fmt::format("its header claims {} bytes; at most {} are allowed", length, kMaxHeaderBytes));
  }
  if (file_bytes < kLengthBytes || length > file_bytes - kLengthBytes) {
    refuse(file,
           fmt::format("its header claims {} bytes, but the file has {} in all; the file is cut", length, file_bytes));
  }
  return length;
}

Layout parse_layout(std::string_view json, std::uint64_t data_bytes, const std::string& file) {
  if (json.empty() || json.front() != '{') refuse(file, "its header does not start with '{'");
  Layout layout;
  try {
    layout = parse_header_json(json);
  } catch (const HeaderError& error) {
    refuse(file, error.what());
  }
  for (const TensorInfo& tensor : layout.tensors) check_tensor(tensor, data_bytes, file);
  // Empty tensors share their offset with a neighbour; by end as well, they come first.
  std::sort(layout.tensors.begin(), layout.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end < b.end : a.name < b.name;
  });
  check_tiling(layout.tensors, data_bytes, file);
  return layout;
}

std::string printable(std::string_view text) {
  std::string shown = "\"";
  for (char character : text.substr(0, kShownCharacters)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte >= 0x7F || character == '"' || character == '\\') {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += character;
    }
  }
  return shown + (text.size() > kShownCharacters ? "…\"" : "\"");
}

std::string to_string(const std::vector<std::uint64_t>& shape) {
  const std::size_t shown = std::min(shape.size(), kShownDimensions);
  return fmt::format("[{}{}]", fmt::join(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     shape.size() > shown ? ", …" : "");
}

}  // namespace flashmask::safetensors
