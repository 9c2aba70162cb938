#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emulator/machine/machine.h"
#include "emulator/machine/tensor_map.h"
#include "tools/safetensors/element_type.h"

namespace flashmask::command {

/// Global memory that a kernel gets: a tensor of a file, or a buffer that the spec describes.
struct MemorySpec {
  struct File {
    std::filesystem::path path;
  };
  struct Uninitialised {};
  struct Repeated {
    std::uint64_t bits = 0;
  };
  struct Counting {};
  struct Normal {
    std::uint64_t seed = 0;
  };

  std::string name;
  std::string where;  ///< in the spec
  std::variant<File, Uninitialised, Repeated, Counting, Normal> content;
  /// Of a buffer; the file knows a tensor's.
  safetensors::ElementType type = safetensors::ElementType::kF32;
  std::vector<std::uint64_t> shape;

  bool is_buffer() const { return !std::holds_alternative<File>(content); }
};

/// What can be filled into a parameter once addresses are known.
struct ParameterPatch {
  std::size_t offset = 0;  ///< in the parameter
  std::string memory;      ///< whose address it needs
  std::string where;       ///< in the spec
  /// Added to the address that is passed; or the map that the address completes.
  std::variant<std::uint64_t, emulator::TensorMap> value;
};

/// A parameter, or a field of one, as C would lay it out.
struct ParameterSpec {
  std::string where;
  std::string kind;  ///< the key that stands for it: "i32", "struct", …
  std::vector<std::byte> bytes;
  std::size_t alignment = 1;
  std::vector<ParameterPatch> patches;
};

/// A launch as its JSON describes it; docs/emulator.md has the form.
struct LaunchSpec {
  std::optional<std::string> entry;
  emulator::LaunchShape shape;
  std::vector<MemorySpec> memory;
  std::vector<ParameterSpec> parameters;
  std::vector<std::string> outputs;  ///< names of memory
};

/// Tensors and buffers of a launch may hold so many bytes in all.
inline constexpr std::uint64_t kMostMemoryBytes = std::uint64_t{4} << 30;

/// Parses and judges a spec, all but what only the kernel or the files can tell. Files are relative to `directory`.
/// Throws Error{kInvalidArgument} with the place in the spec, what is there and what is allowed.
LaunchSpec parse_launch_spec(std::string_view json, const std::filesystem::path& directory);

}  // namespace flashmask::command
