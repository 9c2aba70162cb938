#include "tools/command/output_path.h"

#include <fmt/format.h>

#include <span>
#include <system_error>

#include "flashmask/error.h"
#include "tools/command/interrupt.h"
#include "tools/safetensors/atomic_file.h"

namespace flashmask::command {

void require_writable(const std::filesystem::path& output) {
  const std::filesystem::path directory = output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  if (!output.has_filename() || std::filesystem::is_directory(output, ignored) ||
      !std::filesystem::is_directory(directory, ignored)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--output {}: the name of a file in an existing directory is needed", output.string()));
  }
}

void save_text(const std::filesystem::path& output, std::string_view text) {
  const UninterruptedSection publishing;
  safetensors::AtomicFile file(output);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace flashmask::command
