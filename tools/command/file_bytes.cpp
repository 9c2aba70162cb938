#include "tools/command/file_bytes.h"

#include <fmt/format.h>

#include <fstream>
#include <system_error>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::command {

std::string read_all(std::istream& stream, const std::string& name, std::size_t most) {
  std::string text;
  std::vector<char> part(std::size_t{1} << 16);
  while (stream.read(part.data(), static_cast<std::streamsize>(part.size())), stream.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > most) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: more than {} bytes", name, most));
    }
  }
  if (stream.bad()) throw Error(ErrorCode::kStorage, fmt::format("{}: cannot be read", name));
  return text;
}

std::string read_file(const std::filesystem::path& path, const char* what, std::size_t most) {
  std::error_code ignored;
  std::ifstream stream(path, std::ios::binary);
  if (!stream || std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}: cannot be opened", what, path.string()),
                "give the path of a file that exists and can be read");
  }
  return read_all(stream, path.string(), most);
}

}  // namespace flashmask::command
