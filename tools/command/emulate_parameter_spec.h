#pragma once

#include <filesystem>
#include <vector>

#include "tools/command/emulate_json.h"
#include "tools/command/emulate_spec.h"

namespace flashmask::command {

/// Reads the values of a launch spec: of "parameters", of the fields of a struct, and of "memory".
class ParameterSpecReader {
 public:
  explicit ParameterSpecReader(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// Any kind of value. Throws Error{kInvalidArgument}.
  ParameterSpec read(const SpecValue& value);
  /// A tensor or a buffer, which is not passed. Throws Error{kInvalidArgument}.
  void read_memory(const SpecValue& value);

  /// The tensors and buffers met so far.
  const std::vector<MemorySpec>& memory() const { return memory_; }

 private:
  ParameterSpec read_at_depth(const SpecValue& value, int depth);
  ParameterSpec read_struct(const SpecValue& value, int depth);
  void add(const SpecValue& value, MemorySpec memory);

  std::filesystem::path directory_;
  std::vector<MemorySpec> memory_;
  std::uint64_t buffer_bytes_ = 0;
};

}  // namespace flashmask::command
