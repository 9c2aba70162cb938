#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::compile {

/// What NVRTC says of itself.
struct NvrtcVersion {
  int major = 0;
  int minor = 0;
  friend auto operator<=>(const NvrtcVersion&, const NvrtcVersion&) = default;
};

/// The options that decide what code comes out, besides the target: canonical, sorted, the same for every toolchain.
/// They are part of the digest of a kernel.
std::span<const std::string_view> semantic_options();

/// All options for one compilation, in a fixed order. Options that this NVRTC does not know yet are left out.
std::vector<std::string> nvrtc_options(Target target, NvrtcVersion version);

}  // namespace flashmask::compile
