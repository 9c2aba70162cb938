#pragma once

#include <string>

namespace flashmask::forward_tests {

/// The text of a kernel whose waits give up after so many clocks of their SM: they print what they wait for, and end
/// their thread. A kernel that hangs ends then, and names the waits that nobody ends; what it computes means nothing.
/// For a GPU alone: the emulator names such waits without this. Throws std::invalid_argument for a text without waits.
std::string with_bounded_waits(const std::string& text, long long clocks);

}  // namespace flashmask::forward_tests
