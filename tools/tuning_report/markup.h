#pragma once

#include <string>
#include <string_view>

namespace flashmask::tuning_report {

/// Text as it may stand in an element or in a quoted attribute of HTML and of XML. What is no UTF-8, and characters
/// that XML does not have, become U+FFFD.
std::string escaped(std::string_view text);

/// The text as the name of a file or an anchor: what is no letter, digit, '.' or '_' becomes a single '-'.
std::string slug(std::string_view text);

}  // namespace flashmask::tuning_report
