#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "tools/safetensors/layout.h"

namespace flashmask::safetensors {

/// A safetensors file from a source that is not trusted. The constructor reads and proves the header; data are read
/// when they are asked for, into memory of the caller, so a file that changes under us gives an error and no fault.
/// Not thread-safe.
class Reader {
 public:
  /// Throws Error: kNotFound or kStorage when the file cannot be opened or read, kInvalidArgument when it is malformed.
  explicit Reader(const std::filesystem::path& path);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  const Layout& layout() const { return layout_; }
  /// Null if there is none of this name.
  const TensorInfo* find(std::string_view name) const { return layout_.find(name); }
  /// Reads the data of a tensor of this file into `destination`, which has exactly its bytes. Throws Error{kStorage}.
  void read(const TensorInfo& tensor, std::span<std::byte> destination) const;

 private:
  void read_at(std::uint64_t offset, void* destination, std::size_t bytes) const;

  std::string name_;
  int descriptor_ = -1;
  std::uint64_t data_start_ = 0;
  Layout layout_;
};

}  // namespace flashmask::safetensors
