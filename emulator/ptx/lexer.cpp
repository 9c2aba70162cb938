#include "emulator/ptx/lexer.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace flashmask::emulator::ptx {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_start(char c) {
  return is_letter(c) || c == '_' || c == '$' || c == '%';
}
bool is_name_part(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

// Mangled names may be long; a report that quotes one should not be without end.
constexpr std::size_t kMostNameBytes = 4096;

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    tokens.reserve(text_.size() / 4);
    do {
      tokens.push_back(next());
    } while (tokens.back().kind != Token::Kind::kEnd);
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  Position here() const { return {line_, static_cast<std::uint32_t>(at_ - line_start_ + 1)}; }

  void next_line() {
    ++line_;
    ++at_;
    line_start_ = at_;
  }

  bool skip_blank() {
    const std::size_t start = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        next_line();
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f') {
        ++at_;
      } else if (c == '/' && peek(1) == '/') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == '/' && peek(1) == '*') {
        skip_block_comment();
      } else {
        break;
      }
    }
    return at_ != start;
  }

  void skip_block_comment() {
    const Position opened = here();
    at_ += 2;
    while (!(peek() == '*' && peek(1) == '/')) {
      if (at_ >= text_.size()) throw ParseError(opened, "a comment is not closed");
      if (text_[at_] == '\n') {
        next_line();
      } else {
        ++at_;
      }
    }
    at_ += 2;
  }

  /// The image of a driver may end in zero bytes; elsewhere they are no characters of PTX.
  bool only_zeros_follow() const {
    return std::all_of(text_.begin() + static_cast<std::ptrdiff_t>(at_), text_.end(), [](char c) { return c == '\0'; });
  }

  Token next() {
    Token token;
    token.spaced = skip_blank();
    token.position = start_ = here();
    if (at_ >= text_.size() || (text_[at_] == '\0' && only_zeros_follow())) return token;
    const std::size_t start = at_;
    const char c = text_[at_];
    if (is_name_start(c)) {
      name(token);
    } else if (c == '.' && is_name_part(peek(1))) {
      dotted(token);
    } else if (is_digit(c)) {
      number(token);
      token.text = text_.substr(start, at_ - start);
    } else if (c == '"') {
      string(token);
    } else if (std::string_view("{}()[],;:+-|!@<>=*~&^?").find(c) != std::string_view::npos) {
      ++at_;
      token.kind = Token::Kind::kPunctuation;
      token.text = text_.substr(start, 1);
    } else {
      fail("a character that PTX does not have (code " +
           std::to_string(static_cast<unsigned>(static_cast<unsigned char>(c))) + ")");
    }
    if (token.text.size() > kMostNameBytes && token.kind != Token::Kind::kString) {
      fail("a word of " + std::to_string(token.text.size()) + " characters, " + std::to_string(kMostNameBytes) +
           " are allowed");
    }
    return token;
  }

  void name(Token& token) {
    const std::size_t start = at_++;
    while (is_name_part(peek())) ++at_;
    token.kind = Token::Kind::kName;
    token.text = text_.substr(start, at_ - start);
  }

  void dotted(Token& token) {
    const std::size_t start = ++at_;
    while (is_name_part(peek()) || (peek() == ':' && peek(1) == ':' && is_name_part(peek(2)))) {
      at_ += peek() == ':' ? 2 : 1;
    }
    token.kind = Token::Kind::kDotted;
    token.text = text_.substr(start, at_ - start);
  }

  void string(Token& token) {
    const std::size_t start = ++at_;
    while (peek() != '"') {
      if (at_ >= text_.size() || peek() == '\n') fail("a string is not closed");
      ++at_;
    }
    token.kind = Token::Kind::kString;
    token.text = text_.substr(start, at_ - start);
    ++at_;
  }

  void number(Token& token) {
    const char second = peek(1);
    if (peek() == '0' && (second == 'f' || second == 'F')) return hex_float(token, 8, Token::Kind::kSingle);
    if (peek() == '0' && (second == 'd' || second == 'D')) return hex_float(token, 16, Token::Kind::kDouble);
    if (is_decimal_fraction()) return decimal_fraction(token);
    int base = 10;
    if (peek() == '0' && (second == 'x' || second == 'X')) {
      base = 16;
      at_ += 2;
    } else if (peek() == '0' && (second == 'b' || second == 'B')) {
      base = 2;
      at_ += 2;
    } else if (peek() == '0') {
      base = 8;
    }
    std::uint64_t value = 0;
    std::size_t digits = 0;
    for (; hex_value(peek()) >= 0 && hex_value(peek()) < base; ++at_, ++digits) {
      if (value > (~std::uint64_t{0} - static_cast<unsigned>(hex_value(peek()))) / static_cast<unsigned>(base)) {
        fail("a number is too large for 64 bits");
      }
      value = value * static_cast<unsigned>(base) + static_cast<unsigned>(hex_value(peek()));
    }
    if (peek() == 'U') ++at_;
    if (digits == 0 || is_name_part(peek())) fail("a number is malformed");
    token.kind = Token::Kind::kInteger;
    token.bits = value;
  }

  void hex_float(Token& token, std::size_t digits, Token::Kind kind) {
    at_ += 2;
    for (std::size_t i = 0; i < digits; ++i, ++at_) {
      const int digit = hex_value(peek());
      if (digit < 0) fail("a floating-point constant has too few digits");
      token.bits = token.bits << 4 | static_cast<unsigned>(digit);
    }
    if (is_name_part(peek())) fail("a floating-point constant has too many digits");
    token.kind = kind;
  }

  bool is_decimal_fraction() const {
    std::size_t ahead = 0;
    while (is_digit(peek(ahead))) ++ahead;
    return (peek(ahead) == '.' && is_digit(peek(ahead + 1))) || peek(ahead) == 'e' || peek(ahead) == 'E';
  }

  void decimal_fraction(Token& token) {
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    if (peek() == '.') ++at_;
    while (is_digit(peek())) ++at_;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!is_digit(peek())) fail("a number is malformed");
      while (is_digit(peek())) ++at_;
    }
    if (is_name_part(peek())) fail("a number is malformed");
    double value = 0;
    if (std::from_chars(text_.data() + start, text_.data() + at_, value).ec != std::errc()) {
      fail("a floating-point constant is outside the range of a double");
    }
    token.kind = Token::Kind::kDouble;
    token.bits = std::bit_cast<std::uint64_t>(value);
  }

  /// Points at the start of the current token.
  [[noreturn]] void fail(const std::string& message) const { throw ParseError(start_, message); }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  Position start_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text) {
  if (text.size() > kMostTextBytes) {
    throw ParseError(
        {1, 1},
        "the text has " + std::to_string(text.size()) + " bytes, " + std::to_string(kMostTextBytes) + " are allowed",
        true);
  }
  return Lexer(text).run();
}

}  // namespace flashmask::emulator::ptx
