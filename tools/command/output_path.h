#pragma once

#include <filesystem>
#include <string_view>

namespace flashmask::command {

/// Fails before the work rather than after it: throws Error{kInvalidArgument} unless --output is the name of a file in
/// an existing directory.
void require_writable(const std::filesystem::path& output);

/// Writes the text of --output; the file appears whole or not at all. Throws Error{kStorage}.
void save_text(const std::filesystem::path& output, std::string_view text);

}  // namespace flashmask::command
