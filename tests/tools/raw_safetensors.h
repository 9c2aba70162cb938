#pragma once

#include <cstdint>
#include <string>

namespace flashmask::test {

/// A file as the format lays it out, from any header, so also from a wrong one.
inline std::string raw_safetensors(const std::string& json, std::size_t data_bytes, std::uint64_t claimed_length) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(claimed_length >> (8 * i) & 0xFF);
  return file + json + std::string(data_bytes, '\x3c');
}

inline std::string raw_safetensors(const std::string& json, std::size_t data_bytes) {
  return raw_safetensors(json, data_bytes, json.size());
}

}  // namespace flashmask::test
