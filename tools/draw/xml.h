#pragma once

#include <string>
#include <string_view>

namespace flashmask::draw {

/// Text as it may stand in an element of XML, or in an attribute in double quotes. Characters that XML or ASCII does
/// not have become '?'.
std::string xml_escaped(std::string_view text);

/// Pixels as short as they can be, to hundredths: "12", "0.75".
std::string xml_number(double pixels);

}  // namespace flashmask::draw
