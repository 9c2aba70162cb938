#pragma once

#include <span>
#include <string_view>

namespace flashmask::emulator::programs {

/// A CUDA source file of kernels/, carried by the executable so that it runs where there is no checkout.
struct Source {
  std::string_view name;  ///< "barriers.cu"
  std::string_view text;
};
std::span<const Source> embedded_sources();

}  // namespace flashmask::emulator::programs
