// libFuzzer: whatever the words of the command line, they are parsed or refused with an Error. The input's zero bytes
// and line ends stand between words.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/error.h"
#include "tools/command/arguments.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < size; ++i) {
    const char character = static_cast<char>(data[i]);
    if (character == '\0' || character == '\n')
      words.emplace_back();
    else
      words.back() += character;
  }
  try {
    flashmask::command::parse_arguments(words);
  } catch (const flashmask::Error& error) {
    if (error.code() != flashmask::ErrorCode::kInvalidArgument) throw;
  }
  return 0;
}
