#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask::emulator::ptx {

/// Text that is not PTX, or PTX that this parser does not know. `line` counts from 1.
class ParseError : public std::runtime_error {
 public:
  ParseError(std::uint32_t line, const std::string& message, bool unsupported = false)
      : std::runtime_error(message), line_(line), unsupported_(unsupported) {}
  std::uint32_t line() const { return line_; }
  /// True when the text is PTX but uses what this parser does not know.
  bool unsupported() const { return unsupported_; }

 private:
  std::uint32_t line_;
  bool unsupported_;
};

struct Token {
  enum class Kind : std::uint8_t {
    kName,         ///< letters, digits, '_', '$' and '%'
    kDotted,       ///< ".word", "::" included; `text` is without the dot
    kInteger,      ///< value in `bits`
    kSingle,       ///< 0f…: bits of a float
    kDouble,       ///< 0d… or a decimal fraction: bits of a double
    kString,       ///< without the quotes
    kPunctuation,  ///< one character
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string_view text;
  std::uint64_t bits = 0;
  std::uint32_t line = 0;
  /// True when white space stands before the token.
  bool spaced = false;
};

/// Splits PTX text into tokens; the last one is kEnd. Comments vanish. Tokens point into `text`.
/// Throws ParseError on characters or numbers that PTX does not have.
std::vector<Token> tokenize(std::string_view text);

}  // namespace flashmask::emulator::ptx
