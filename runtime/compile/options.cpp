#include "runtime/compile/options.h"

#include <array>

namespace flashmask::compile {
namespace {

// IEEE arithmetic with contraction is NVRTC's default and is what the templates are written for: where they want an
// approximation, they say so with an instruction.
constexpr std::string_view kSeed = "--frandom-seed=flashmask";
constexpr std::array<std::string_view, 2> kSemanticOptions = {kSeed, "--std=c++20"};

// NVRTC before 12.9 refuses these two by name (seen with 12.4). It has no cache to turn off, but its output for large
// kernels is not reproducible.
constexpr NvrtcVersion kFirstWithSeedAndCache{12, 9};

}  // namespace

std::span<const std::string_view> semantic_options() {
  return kSemanticOptions;
}

std::vector<std::string> nvrtc_options(Target target, NvrtcVersion version) {
  std::vector<std::string> options = {"--gpu-architecture=" + to_string(target)};
  for (std::string_view option : kSemanticOptions)
    if (option != kSeed || version >= kFirstWithSeedAndCache) options.emplace_back(option);
  // A hit in NVRTC's own cache returns an empty log, and the log holds the register and spill counts.
  if (version >= kFirstWithSeedAndCache) options.emplace_back("--no-cache");
  // The text includes nothing; the current directory is no place to look for headers.
  options.emplace_back("--no-source-include");
  // Otherwise NVRTC raises the stack limit of the whole process while it compiles.
  options.emplace_back("--modify-stack-limit=false");
  options.emplace_back("--ptxas-options=-v");
  return options;
}

}  // namespace flashmask::compile
