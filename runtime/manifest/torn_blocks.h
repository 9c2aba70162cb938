#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask {

/// The first line of a manifest that this library began, to which it may append.
inline constexpr std::string_view kAppendableMark = "# A manifest of flashmask; tables may be appended.";

/// Lines of a text, from 1; both belong to it.
struct LineRange {
  int first = 0;
  int last = 0;
};

struct MendedText {
  std::string text;  ///< of the same lines, the torn ones empty
  std::vector<LineRange> torn;
};

/// Takes the blocks out of a manifest with that mark that their writers did not finish: those that are not `whole` by
/// themselves. A block is what stands between empty lines, or from one "[[kernels]]" to the next. Another text stays as
/// it is.
MendedText without_torn_blocks(std::string_view text, const std::function<bool(std::string_view block)>& whole);

}  // namespace flashmask
