#include "tools/tuning_report/markup.h"

#include <cstdint>

namespace flashmask::tuning_report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// Bytes of the character of more than one byte that starts there; 0: it is none, or one that XML does not have.
std::size_t wide_character(std::string_view text, std::size_t at) {
  const unsigned char first = byte_at(text, at);
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  std::uint32_t code = first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, at + i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte_at(text, at + i) & 0x3F);
  }
  const bool is_overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool is_control = code < 0xA0;
  // Marks that turn the direction of the text around them would let a reason rewrite its neighbours.
  const bool turns_text = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  const bool is_none = code > 0x10FFFF || (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code <= 0xFDEF);
  return is_overlong || is_surrogate || is_control || turns_text || is_none ? 0 : length;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const unsigned char character = byte_at(text, at);
    std::size_t length = 1;
    if (character == '&') {
      result += "&amp;";
    } else if (character == '<') {
      result += "&lt;";
    } else if (character == '>') {
      result += "&gt;";
    } else if (character == '"') {
      result += "&quot;";
    } else if (character == '\'') {
      result += "&#39;";
    } else if (character < 0x80) {
      const bool is_text = character == '\n' || (character >= ' ' && character != 0x7F);
      result += is_text ? std::string_view(&text[at], 1) : character == '\t' ? std::string_view(" ") : kReplacement;
    } else if (const std::size_t wide = wide_character(text, at); wide > 0) {
      result += text.substr(at, length = wide);
    } else {
      result += kReplacement;
    }
    at += length;
  }
  return result;
}

std::string slug(std::string_view text) {
  std::string result;
  for (const char character : text) {
    const bool is_plain = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
                          (character >= '0' && character <= '9') || character == '.' || character == '_';
    if (is_plain)
      result += character;
    else if (!result.empty() && !result.ends_with('-'))
      result += '-';
  }
  while (result.ends_with('-')) result.pop_back();
  return result;
}

}  // namespace flashmask::tuning_report
