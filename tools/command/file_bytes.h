#pragma once

#include <cstddef>
#include <filesystem>
#include <istream>
#include <string>

namespace flashmask::command {

/// What is left of a stream. Throws Error: kInvalidArgument for more than `most` bytes, kStorage when it cannot be
/// read; `name` is what the error calls it.
std::string read_all(std::istream& stream, const std::string& name, std::size_t most);

/// The bytes of a file. `what` is what it is for: "launch spec". Throws Error as read_all(), and kInvalidArgument where
/// there is no file that can be opened.
std::string read_file(const std::filesystem::path& path, const char* what, std::size_t most);

}  // namespace flashmask::command
