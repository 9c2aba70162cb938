#include "runtime/precompile_command.h"

#include <fmt/format.h>

namespace flashmask {
namespace {

/// As one word of a shell.
std::string quoted(std::string_view text) {
  std::string word = "'";
  for (const char character : text) {
    if (character == '\'')
      word += "'\\''";
    else
      word += character;
  }
  return word + "'";
}

}  // namespace

std::string precompile_command(const KernelDescriptor& descriptor, const TileConfig& config) {
  if (!is_attention(descriptor.pass))
    return fmt::format(
        "flashmask compile --pass {} --form {}{} --target {}", to_string(descriptor.pass),
        to_string(descriptor.mask_form),
        descriptor.causal_alignment == CausalAlignment::kBottomRight ? "" : " --causal-alignment top-left",
        to_string(descriptor.target));
  std::string head_dim = std::to_string(descriptor.head_dim_qk);
  if (descriptor.head_dim_v != descriptor.head_dim_qk) head_dim += fmt::format(",{}", descriptor.head_dim_v);
  std::string command =
      fmt::format("flashmask compile --pass {} --dtype {} --head-dim {} --form {}", to_string(descriptor.pass),
                  to_string(descriptor.dtype), head_dim, to_string(descriptor.mask_form));
  if (descriptor.causal_alignment != CausalAlignment::kBottomRight)
    command += fmt::format(" --causal-alignment {}", to_string(descriptor.causal_alignment));
  command += fmt::format(" --target {}", to_string(descriptor.target));
  if (descriptor.deterministic) command += " --deterministic";
  if (const TileConfig usual = default_tile_config(descriptor); !(config == usual))
    command += fmt::format(" --config {}", to_word(config));
  return command;
}

std::string precompile_hint(const Policy& policy, const KernelDescriptor& descriptor, const TileConfig& config) {
  const std::string command = precompile_command(descriptor, config);
  if (policy.cache_directory.empty())
    return fmt::format("Name a cache directory with FLASHMASK_CACHE_DIR, and compile the kernel into it: {}", command);
  std::string variables = fmt::format("FLASHMASK_NO_JIT=0 FLASHMASK_CACHE_DIR={} ", quoted(policy.cache_directory));
  if (!policy.toolchain.empty()) variables += fmt::format("FLASHMASK_TOOLCHAIN={} ", quoted(policy.toolchain));
  return fmt::format("Compile it beforehand: {}{}", variables, command);
}

}  // namespace flashmask
