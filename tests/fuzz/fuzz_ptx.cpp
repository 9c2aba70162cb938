// libFuzzer: whatever the bytes, Program::parse() gives a program or a Fault that names a line and a column. Any other
// exception ends the run, as a crash, a leak or a hang does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "emulator/machine/machine.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using flashmask::emulator::Fault;
  try {
    flashmask::emulator::Program::parse({reinterpret_cast<const char*>(data), size});
  } catch (const Fault& fault) {
    const bool refused = fault.kind() == Fault::Kind::kSyntax || fault.kind() == Fault::Kind::kUnsupported;
    if (!refused || std::string_view(fault.what()).find(", column ") == std::string_view::npos) std::abort();
  }
  return 0;
}
