#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"
#include "generator/invalid_request.h"

namespace flashmask::generator {

/// A specialised kernel as text, and what a launch of it needs.
struct KernelSource {
  std::string text;                  ///< one translation unit without any #include; plain nvcc compiles it
  std::string entry;                 ///< the name of its main extern "C" __global__ function
  std::vector<std::string> entries;  ///< all of them, in the order of their launches
  int threads = 0;                   ///< per CTA of the main function
  int shared_bytes = 0;              ///< dynamic shared memory per CTA of the main function
  KernelDescriptor descriptor;
  TileConfig config;
  /// The parts of `text` in order, as the cache key takes them: the SHA-256 (hex) of each embedded template, known
  /// since the build, and the generated text itself. Equal parts mean equal text.
  std::vector<std::string_view> template_digests;
  std::string generated;
};

/// Emits the text. Pure: equal input gives equal bytes. Throws InvalidRequest.
KernelSource generate(const KernelDescriptor& descriptor, const TileConfig& config);

/// KernelSource::template_digests of a legal descriptor's kernels; no configuration changes them. Cheaper than text.
std::vector<std::string_view> template_digests(const KernelDescriptor& descriptor);

}  // namespace flashmask::generator
