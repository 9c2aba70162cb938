// The reader's parser under libFuzzer: whatever the bytes are, the answer is a layout that tiles the data or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "flashmask/error.h"
#include "tools/safetensors/layout.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flashmask::safetensors;
  if (size < kLengthBytes) return 0;
  unsigned char prefix[kLengthBytes];
  std::memcpy(prefix, data, sizeof prefix);
  try {
    const std::uint64_t header_bytes = parse_header_length(prefix, size, "fuzz");
    const std::string_view json(reinterpret_cast<const char*>(data) + kLengthBytes, header_bytes);
    const std::uint64_t data_bytes = size - kLengthBytes - header_bytes;
    std::uint64_t end = 0;
    for (const TensorInfo& tensor : parse_layout(json, data_bytes, "fuzz").tensors) {
      if (tensor.begin != end || tensor.end < tensor.begin) std::abort();
      end = tensor.end;
    }
    if (end != data_bytes) std::abort();
  } catch (const flashmask::Error&) {
  }
  return 0;
}
