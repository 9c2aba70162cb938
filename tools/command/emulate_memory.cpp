#include "tools/command/emulate_memory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "flashmask/error.h"
#include "tools/command/emulate_elements.h"
#include "tools/safetensors/layout.h"
#include "tools/safetensors/reader.h"

namespace flashmask::command {
namespace {

using safetensors::Reader;

constexpr std::size_t kShownNames = 12;

[[noreturn]] void refuse(const MemorySpec& spec, const std::string& problem, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("launch spec: {}: {}", spec.where, problem), hint);
}

/// The files of a spec, each opened once.
class Files {
 public:
  const Reader& open(const MemorySpec& spec, const std::filesystem::path& path) {
    std::unique_ptr<Reader>& reader = readers_[path.string()];
    if (reader) return *reader;
    try {
      reader = std::make_unique<Reader>(path);
    } catch (const Error& error) {
      refuse(spec, error.what(), error.hint());
    }
    return *reader;
  }

 private:
  std::map<std::string, std::unique_ptr<Reader>> readers_;
};

std::string names_in(const Reader& reader) {
  std::string names;
  for (std::size_t i = 0; i < reader.layout().tensors.size(); ++i) {
    if (i == kShownNames) return names + ", …";
    names += (i == 0 ? "" : ", ") + safetensors::printable(reader.layout().tensors[i].name);
  }
  return names.empty() ? "none" : names;
}

const safetensors::TensorInfo& find_tensor(const Reader& reader, const MemorySpec& spec,
                                           const std::filesystem::path& path) {
  if (const safetensors::TensorInfo* tensor = reader.find(spec.name)) return *tensor;
  std::vector<std::string> names;
  for (const safetensors::TensorInfo& each : reader.layout().tensors) names.push_back(each.name);
  const std::optional<std::string> near = nearest_name(spec.name, names);
  refuse(
      spec,
      fmt::format("{} has no tensor {}; it has {}", path.string(), safetensors::printable(spec.name), names_in(reader)),
      near ? fmt::format("{} may be meant", safetensors::printable(*near)) : "");
}

std::vector<std::byte> content_of(const MemorySpec& spec, std::uint64_t count) {
  if (const auto* repeated = std::get_if<MemorySpec::Repeated>(&spec.content)) {
    return repeated_elements(spec.type, count, repeated->bits);
  }
  if (const auto* normal = std::get_if<MemorySpec::Normal>(&spec.content)) {
    return normal_elements(spec.type, count, normal->seed);
  }
  if (std::holds_alternative<MemorySpec::Counting>(spec.content)) return counting_elements(spec.type, count);
  return {};
}

}  // namespace

std::vector<HostTensor> load_memory(const std::vector<MemorySpec>& specs) {
  Files files;
  std::vector<HostTensor> tensors;
  std::uint64_t left = kMostMemoryBytes;
  for (const MemorySpec& spec : specs) {
    HostTensor tensor{spec.name, spec.type, spec.shape, 0, {}};
    const auto* file = std::get_if<MemorySpec::File>(&spec.content);
    const Reader* reader = file == nullptr ? nullptr : &files.open(spec, file->path);
    const safetensors::TensorInfo* info = reader == nullptr ? nullptr : &find_tensor(*reader, spec, file->path);
    if (info != nullptr) {
      tensor.type = info->type;
      tensor.shape = info->shape;
    }
    tensor.bytes = info != nullptr ? info->bytes() : *safetensors::bytes_of(spec.type, spec.shape);
    if (tensor.bytes > left) {
      refuse(spec, fmt::format("{} bytes more are too many: tensors and buffers have at most {} bytes in all",
                               tensor.bytes, kMostMemoryBytes));
    }
    left -= tensor.bytes;
    if (info != nullptr) {
      tensor.content.resize(tensor.bytes);
      reader->read(*info, tensor.content);
    } else {
      tensor.content = content_of(spec, tensor.bytes / element_bytes(spec.type));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Addresses upload(emulator::Machine& machine, const std::vector<HostTensor>& tensors) {
  Addresses addresses;
  for (const HostTensor& tensor : tensors) {
    const emulator::Address address = machine.allocate(tensor.bytes);
    if (!tensor.content.empty()) machine.write(address, tensor.content);
    addresses.emplace(tensor.name, address);
  }
  return addresses;
}

std::string with_names(std::string report, const std::vector<HostTensor>& tensors, const Addresses& addresses) {
  std::vector<emulator::Address> mentioned;
  for (std::size_t at = report.find("0x"); at != std::string::npos; at = report.find("0x", at + 2)) {
    emulator::Address address = 0;
    const auto parsed = std::from_chars(report.data() + at + 2, report.data() + report.size(), address, 16);
    if (parsed.ec == std::errc{}) mentioned.push_back(address);
  }
  for (const HostTensor& tensor : tensors) {
    const emulator::Address base = addresses.find(tensor.name)->second;
    const auto within = [&](emulator::Address address) { return address >= base && address - base <= tensor.bytes; };
    if (std::none_of(mentioned.begin(), mentioned.end(), within)) continue;
    report += fmt::format("\n  {} has {} bytes at {:#x}", safetensors::printable(tensor.name), tensor.bytes, base);
  }
  return report;
}

std::vector<std::byte> download(const emulator::Machine& machine, const HostTensor& tensor, emulator::Address address) {
  std::vector<std::byte> bytes(tensor.bytes);
  try {
    machine.read(bytes, address);
  } catch (const emulator::Fault& fault) {
    throw emulator::Fault(
        fault.kind(), fmt::format("output {}: {}\n  \"outputs\" of the launch spec names what the kernel writes whole",
                                  safetensors::printable(tensor.name), fault.what()));
  }
  return bytes;
}

}  // namespace flashmask::command
