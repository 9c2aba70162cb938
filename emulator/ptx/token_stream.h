#pragma once

#include <string>
#include <vector>

#include "emulator/ptx/lexer.h"

namespace flashmask::emulator::ptx {

/// A cursor over the tokens of one module. Reading past the end yields kEnd again and again.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : tokens_.back();
  }
  const Token& take() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_end() const { return peek().kind == Token::Kind::kEnd; }
  Position position() const { return peek().position; }

  bool is(char punctuation) const { return peek().kind == Token::Kind::kPunctuation && peek().text[0] == punctuation; }
  bool is_dotted(std::string_view word) const { return peek().kind == Token::Kind::kDotted && peek().text == word; }
  bool accept(char punctuation) {
    if (!is(punctuation)) return false;
    take();
    return true;
  }
  bool accept_dotted(std::string_view word) {
    if (!is_dotted(word)) return false;
    take();
    return true;
  }
  void expect(char punctuation, std::string_view where) {
    if (!accept(punctuation)) fail("'" + std::string(1, punctuation) + "' was expected " + std::string(where));
  }
  std::string_view expect_name(std::string_view what) {
    if (peek().kind != Token::Kind::kName) fail(std::string(what) + " was expected");
    return take().text;
  }
  std::uint64_t expect_integer(std::string_view what) {
    if (peek().kind != Token::Kind::kInteger) fail(std::string(what) + " was expected");
    return take().bits;
  }
  /// An integer from `least` to `most`.
  std::uint32_t expect_number(std::string_view what, std::uint32_t least, std::uint32_t most) {
    if (peek().kind != Token::Kind::kInteger || peek().bits < least || peek().bits > most) {
      fail(std::string(what) + " from " + std::to_string(least) + " to " + std::to_string(most) + " was expected");
    }
    return static_cast<std::uint32_t>(take().bits);
  }
  /// Drops a block in braces, nested ones included.
  void skip_block() {
    const Position opened = position();
    expect('{', "at the start of a block");
    for (int depth = 1; depth > 0;) {
      if (at_end()) throw ParseError(opened, "a block is not closed");
      if (is('{')) ++depth;
      if (is('}')) --depth;
      take();
    }
  }
  /// Throws ParseError at the current token.
  [[noreturn]] void fail(const std::string& message) const {
    const Token& token = peek();
    const std::string found = token.kind == Token::Kind::kEnd      ? "the end of the text"
                              : token.kind == Token::Kind::kDotted ? "'." + std::string(token.text) + "'"
                                                                   : "'" + std::string(token.text) + "'";
    throw ParseError(token.position, message + ", found " + found);
  }
  /// The same for what PTX has and this parser does not know: `what` is a sentence about the current token.
  [[noreturn]] void refuse(const std::string& what) const { throw ParseError(position(), what, true); }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace flashmask::emulator::ptx
