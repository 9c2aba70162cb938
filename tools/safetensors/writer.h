#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tools/safetensors/element_type.h"

namespace flashmask::safetensors {

/// Collects tensors and saves them as one file. Equal content gives equal bytes, whatever the order of add().
///
///     Writer writer;
///     writer.add("q", ElementType::kBF16, {1, 128, 4, 64}, std::as_bytes(std::span(query)));
///     writer.save("in.safetensors");
class Writer {
 public:
  /// `bytes` is borrowed until the last save(): shape in row-major order, little-endian. Throws Error{kInvalidArgument}
  /// when the name is taken or reserved, or the bytes do not match type and shape.
  void add(std::string name, ElementType type, std::vector<std::uint64_t> shape, std::span<const std::byte> bytes);
  /// A pair of the file's __metadata__; the last value of a key counts.
  void set_metadata(std::string key, std::string value);

  /// Publishes the file atomically: under `path` there is the old content or all of the new one, and after a failure
  /// nothing else is left behind. Throws Error{kStorage}.
  void save(const std::filesystem::path& path) const;

 private:
  struct Entry {
    ElementType type;
    std::vector<std::uint64_t> shape;
    std::span<const std::byte> bytes;
  };

  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace flashmask::safetensors
