#pragma once

#include <string>
#include <string_view>

#include "cache/lookup.h"

namespace flashmask {

/// True for what Policy::toolchain may be: empty, a major version ("13"), or a build ("13.0.88").
bool is_toolchain_policy(std::string_view policy);

/// The part of a cache entry's name that stands for a toolchain: "nvrtc 13.0.88" becomes "nvrtc-13.0.88".
std::string toolchain_tag(std::string_view toolchain);

/// Which entries of a digest the policy wants.
cache::TagPolicy wanted_tags(const std::string& policy);

/// Whether the policy wants code of this toolchain, given its tag.
bool accepts_toolchain(std::string_view policy, std::string_view tag);

}  // namespace flashmask
