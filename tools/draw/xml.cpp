#include "tools/draw/xml.h"

#include <fmt/format.h>

namespace flashmask::draw {

std::string xml_escaped(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character == '&') {
      result += "&amp;";
    } else if (character == '<') {
      result += "&lt;";
    } else if (character == '>') {
      result += "&gt;";
    } else if (character == '"') {
      result += "&quot;";
    } else {
      result += character < ' ' || character > '~' ? '?' : character;
    }
  }
  return result;
}

std::string xml_number(double pixels) {
  std::string text = fmt::format("{:.2f}", pixels);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace flashmask::draw
