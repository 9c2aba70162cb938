#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/machine/machine.h"
#include "tools/command/emulate_spec.h"
#include "tools/safetensors/element_type.h"

namespace flashmask::command {

/// A tensor or buffer of a launch on the host.
struct HostTensor {
  std::string name;
  safetensors::ElementType type = safetensors::ElementType::kF32;
  std::vector<std::uint64_t> shape;
  std::size_t bytes = 0;
  std::vector<std::byte> content;  ///< empty: nobody has written it
};

/// Reads the tensors of files and fills the buffers. Throws Error: kInvalidArgument for files that are not there or not
/// right, and when all together are larger than kMostMemoryBytes.
std::vector<HostTensor> load_memory(const std::vector<MemorySpec>& specs);

/// Where tensors are on a machine, by name.
using Addresses = std::map<std::string, emulator::Address, std::less<>>;

/// Allocates and writes them, in their order. Equal calls on new machines give equal addresses.
Addresses upload(emulator::Machine& machine, const std::vector<HostTensor>& tensors);

/// A report with a line behind it for every tensor that an address of the report lies in, naming it.
std::string with_names(std::string report, const std::vector<HostTensor>& tensors, const Addresses& addresses);

/// What is in a tensor now. Throws emulator::Fault when some byte of it was never written.
std::vector<std::byte> download(const emulator::Machine& machine, const HostTensor& tensor, emulator::Address address);

}  // namespace flashmask::command
