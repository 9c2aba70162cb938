#include "tools/command/emulate_parameter_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "tools/command/emulate_elements.h"
#include "tools/command/emulate_tensor_map_spec.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;
using Keys = std::vector<std::string>;

constexpr std::size_t kMostDimensions = 16;
constexpr std::size_t kMostFields = 4096;
constexpr int kMostDepth = 16;
/// The parameter space of sm_70 and up.
constexpr std::size_t kMostParameterBytes = 32764;
constexpr std::size_t kMostAlignment = 128;

/// Every key that stands for a value, and no other key does.
const Keys& kinds() {
  static const Keys kKinds = {"tensor", "buffer", "pointer", "tensor_map", "struct", "bytes", "f64", "f32", "f16",
                              "bf16",   "i64",    "i32",     "i16",        "i8",     "u64",   "u32", "u16", "u8"};
  return kKinds;
}

/// The one key of the value that says what it is.
std::string kind_of(const SpecValue& value) {
  if (!value.is_object()) value.refuse("an object such as {\"i32\": 5}");
  Keys found;
  for (const std::string& key : value.keys()) {
    if (std::find(kinds().begin(), kinds().end(), key) != kinds().end()) found.push_back(key);
  }
  if (found.empty()) {
    const Keys keys = value.keys();
    const auto near = keys.empty() ? std::nullopt : nearest_name(keys.front(), kinds());
    value.fail(fmt::format("it has none of the keys that say what it is: {}", fmt::join(kinds(), ", ")),
               near ? fmt::format("\"{}\" may be meant by {}", *near, safetensors::printable(keys.front())) : "");
  }
  if (found.size() > 1) {
    value.fail(fmt::format("\"{}\" and \"{}\" in one value; one of them is allowed", found[0], found[1]));
  }
  return found.front();
}

void append_bits(std::vector<std::byte>& bytes, std::uint64_t bits, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(bits >> (8 * i) & 0xff));
}

ParameterSpec pointer_to(const std::string& memory, std::uint64_t offset, const std::string& where) {
  ParameterSpec parameter;
  parameter.bytes.resize(sizeof(emulator::Address));
  parameter.alignment = sizeof(emulator::Address);
  parameter.patches.push_back({0, memory, where, offset});
  return parameter;
}

ParameterSpec read_hexadecimal(const SpecValue& value) {
  const std::string text = value.text();
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  ParameterSpec parameter;
  const bool right = std::all_of(text.begin(), text.end(), [&](char c) { return digit(c) >= 0; });
  if (!right || text.size() % 2 != 0 || text.size() / 2 > kMostParameterBytes) {
    value.refuse(fmt::format("an even number of hexadecimal digits, of at most {} bytes,", kMostParameterBytes));
  }
  for (std::size_t i = 0; i < text.size(); i += 2) {
    parameter.bytes.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return parameter;
}

MemorySpec read_tensor(const SpecValue& value, const std::filesystem::path& directory) {
  static const Keys kKeys = {"tensor", "file"};
  value.allow_keys(kKeys);
  MemorySpec memory;
  memory.name = value.require("tensor").text();
  memory.where = value.where();
  // An absolute path stays as it is.
  memory.content = MemorySpec::File{directory / value.require("file").text()};
  return memory;
}

decltype(MemorySpec::content) read_fill(const std::optional<SpecValue>& fill, ElementType type) {
  if (!fill) return MemorySpec::Uninitialised{};
  if (fill->is_object()) {
    static const Keys kKeys = {"normal"};
    fill->allow_keys(kKeys);
    const SpecValue seed = fill->require("normal");
    if (!is_floating(type))
      fill->fail("\"normal\" fills f64, f32, f16 and bf16 only", "fill with a number or \"iota\"");
    return MemorySpec::Normal{seed.unsigned_integer(0, std::numeric_limits<std::uint64_t>::max())};
  }
  if (fill->is_string()) {
    const std::string name = fill->text();
    if (name == "uninitialised") return MemorySpec::Uninitialised{};
    if (name == "iota") return MemorySpec::Counting{};
    if (name != "nan" && name != "inf" && name != "-inf") {
      fill->refuse("a number, \"uninitialised\", \"iota\" or {\"normal\": seed}");
    }
  }
  return MemorySpec::Repeated{parse_element_bits(*fill, type)};
}

MemorySpec read_buffer(const SpecValue& value) {
  static const Keys kKeys = {"buffer", "dtype", "shape", "fill"};
  value.allow_keys(kKeys);
  MemorySpec memory;
  memory.name = value.require("buffer").text();
  memory.where = value.where();
  memory.type = parse_element(value.require("dtype"));
  for (const SpecValue& each : value.require("shape").items(0, kMostDimensions)) {
    memory.shape.push_back(each.unsigned_integer(0, std::numeric_limits<std::int64_t>::max()));
  }
  memory.content = read_fill(value.find("fill"), memory.type);
  return memory;
}

}  // namespace

ParameterSpec ParameterSpecReader::read(const SpecValue& value) {
  ParameterSpec parameter = read_at_depth(value, 0);
  if (parameter.bytes.size() > kMostParameterBytes) {
    value.fail(fmt::format("{} bytes; the parameters of a kernel have at most {}", parameter.bytes.size(),
                           kMostParameterBytes));
  }
  return parameter;
}

void ParameterSpecReader::read_memory(const SpecValue& value) {
  const std::string kind = kind_of(value);
  if (kind != "tensor" && kind != "buffer") value.fail(fmt::format("\"{}\"; tensor or buffer is needed", kind));
  add(value, kind == "tensor" ? read_tensor(value, directory_) : read_buffer(value));
}

ParameterSpec ParameterSpecReader::read_at_depth(const SpecValue& value, int depth) {
  const std::string kind = kind_of(value);
  const SpecValue content = value.require(kind);
  ParameterSpec parameter;
  if (kind == "tensor" || kind == "buffer") {
    read_memory(value);
    parameter = pointer_to(memory_.back().name, 0, value.where());
  } else if (kind == "pointer") {
    static const Keys kKeys = {"pointer", "offset"};
    value.allow_keys(kKeys);
    const auto offset = value.find("offset");
    parameter = pointer_to(content.text(), offset ? offset->unsigned_integer(0, kMostMemoryBytes) : 0, value.where());
  } else if (kind == "struct") {
    parameter = read_struct(value, depth);
  } else {
    value.allow_keys(Keys{kind});
    if (kind == "tensor_map") {
      parameter = read_tensor_map(content);
    } else if (kind == "bytes") {
      parameter = read_hexadecimal(content);
    } else {
      const ElementType type = *element_named(kind);
      append_bits(parameter.bytes, parse_element_bits(content, type), element_bytes(type));
      parameter.alignment = element_bytes(type);
    }
  }
  parameter.kind = kind;
  parameter.where = value.where();
  return parameter;
}

ParameterSpec ParameterSpecReader::read_struct(const SpecValue& value, int depth) {
  static const Keys kKeys = {"struct", "align"};
  value.allow_keys(kKeys);
  if (depth == kMostDepth) value.fail(fmt::format("structs nest deeper than {}", kMostDepth));
  const auto align_up = [](std::size_t size, std::size_t alignment) {
    return (size + alignment - 1) / alignment * alignment;
  };
  ParameterSpec parameter;
  for (const SpecValue& each : value.require("struct").items(1, kMostFields)) {
    ParameterSpec field = read_at_depth(each, depth + 1);
    const std::size_t offset = align_up(parameter.bytes.size(), field.alignment);
    if (offset + field.bytes.size() > kMostParameterBytes) {
      each.fail(fmt::format("the struct grows beyond {} bytes", kMostParameterBytes));
    }
    parameter.bytes.resize(offset);
    parameter.bytes.insert(parameter.bytes.end(), field.bytes.begin(), field.bytes.end());
    parameter.alignment = std::max(parameter.alignment, field.alignment);
    for (ParameterPatch& patch : field.patches) {
      patch.offset += offset;
      parameter.patches.push_back(std::move(patch));
    }
  }
  if (const auto align = value.find("align")) {
    const std::uint64_t asked = align->unsigned_integer(1, kMostAlignment);
    if (!std::has_single_bit(asked)) align->refuse("a power of two");
    parameter.alignment = std::max<std::size_t>(parameter.alignment, asked);
  }
  parameter.bytes.resize(align_up(parameter.bytes.size(), parameter.alignment));
  return parameter;
}

void ParameterSpecReader::add(const SpecValue& value, MemorySpec memory) {
  const auto same =
      std::find_if(memory_.begin(), memory_.end(), [&](const MemorySpec& other) { return other.name == memory.name; });
  const std::string name = safetensors::printable(memory.name);
  if (same != memory_.end()) {
    value.fail(fmt::format("the name {} is taken by {}", name, same->where),
               fmt::format("pass the same memory once more as {{\"pointer\": {}}}", name));
  }
  if (memory.is_buffer()) {
    const std::optional<std::uint64_t> bytes = safetensors::bytes_of(memory.type, memory.shape);
    if (!bytes || *bytes > kMostMemoryBytes - buffer_bytes_) {
      value.fail(fmt::format("the buffer {} of shape {} is too large: tensors and buffers have at most {} bytes in all",
                             name, safetensors::to_string(memory.shape), kMostMemoryBytes));
    }
    buffer_bytes_ += *bytes;
  }
  memory_.push_back(std::move(memory));
}

}  // namespace flashmask::command
