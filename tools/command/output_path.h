#pragma once

#include <filesystem>

namespace flashmask::command {

/// Fails before the work rather than after it: throws Error{kInvalidArgument} unless --output is the name of a file in
/// an existing directory.
void require_writable(const std::filesystem::path& output);

}  // namespace flashmask::command
