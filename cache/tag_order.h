#pragma once

#include <compare>
#include <string_view>

namespace flashmask::cache {

/// Orders toolchain tags by version, as people read them: runs of digits compare as numbers of any length, all else
/// character by character, so nvrtc-13.0.88 > nvrtc-13.0.9 > nvrtc-12.9.41. Of tags that differ in leading zeros alone,
/// the one with the greater text is greater. A total order: equal only for equal text.
///
/// "The newest toolchain" is decided by it everywhere (directories, packs), never by the time of a file, which copying
/// and use change.
std::strong_ordering compare_tags(std::string_view a, std::string_view b);

/// compare_tags(a, b) > 0, for sorting the newest to the front.
bool is_newer_tag(std::string_view a, std::string_view b);

}  // namespace flashmask::cache
