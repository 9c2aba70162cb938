#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace flashmask::emulator::ptx {

/// A place in the text. Both count from 1; a column is one byte, a tab included.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

/// Text that is not PTX, or PTX that this parser does not know.
class ParseError : public std::runtime_error {
 public:
  ParseError(Position position, const std::string& message, bool unsupported = false)
      : std::runtime_error(message), position_(position), unsupported_(unsupported) {}
  Position position() const { return position_; }
  /// True when the text is PTX but uses what this parser does not know.
  bool unsupported() const { return unsupported_; }

 private:
  Position position_;
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
  Position position;
  /// True when white space stands before the token.
  bool spaced = false;
};

/// The longest text that is read.
constexpr std::size_t kMostTextBytes = std::size_t{16} << 20;

/// Splits PTX text into tokens; the last one is kEnd. Comments vanish. Tokens point into `text`.
/// Throws ParseError on characters or numbers that PTX does not have, and on more than kMostTextBytes.
std::vector<Token> tokenize(std::string_view text);

}  // namespace flashmask::emulator::ptx
