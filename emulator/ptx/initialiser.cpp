#include "emulator/ptx/initialiser.h"

#include <algorithm>
#include <bit>

namespace flashmask::emulator::ptx {
namespace {

class Initialiser {
 public:
  Initialiser(TokenStream& tokens, Variable& variable, std::span<const std::uint64_t> bounds)
      : tokens_(tokens), variable_(variable), bounds_(bounds), size_(size_of(variable.type)) {}

  void parse() {
    if (bounds_.empty()) {
      scalar(0);
    } else {
      tokens_.expect('{', "before the initial values of an array");
      const std::uint64_t used = row(0, 0);
      if (variable_.bytes == 0) variable_.bytes = (used + stride(0) - 1) / stride(0) * stride(0);
    }
    variable_.initial.resize(variable_.bytes, 0);
  }

 private:
  /// The bytes of one element of dimension `depth`.
  std::uint64_t stride(std::size_t depth) const {
    std::uint64_t bytes = size_;
    for (std::size_t i = depth + 1; i < bounds_.size(); ++i) bytes *= bounds_[i];
    return bytes;
  }

  /// What stands between '{' and '}': rows in braces, or values that fill the dimensions from here on in order.
  /// Returns the end of the last one.
  std::uint64_t row(std::size_t depth, std::uint64_t start) {
    const bool unbounded = depth == 0 && bounds_[0] == 0;
    const std::uint64_t end = unbounded ? kMostInitialBytes : start + stride(depth) * bounds_[depth];
    std::uint64_t at = start;
    while (!tokens_.accept('}')) {
      if (tokens_.is('{')) {
        if (depth + 1 == bounds_.size()) tokens_.fail("the braces are nested more deeply than the array");
        if (end - at < stride(depth)) too_many(unbounded);
        tokens_.take();
        row(depth + 1, at);
        at += stride(depth);
      } else {
        if (end - at < size_) too_many(unbounded);
        scalar(at);
        at += size_;
      }
      if (!tokens_.is('}')) tokens_.expect(',', "between initial values");
    }
    return at;
  }

  [[noreturn]] void too_many(bool unbounded) const {
    if (unbounded) {
      tokens_.refuse("the variables with initial values take more than " + std::to_string(kMostInitialBytes) +
                     " bytes with '" + variable_.name + "'");
    }
    tokens_.fail("'" + variable_.name + "' has no room for more initial values");
  }

  void scalar(std::uint64_t at) {
    if (tokens_.peek().kind == Token::Kind::kName) return symbol(at);
    const bool negative = tokens_.accept('-');
    const Token token = tokens_.peek();
    std::uint64_t bits = 0;
    switch (token.kind) {
      case Token::Kind::kInteger:
        bits = integer(negative ? ~token.bits + 1 : token.bits);
        break;
      case Token::Kind::kSingle:
        bits = size_ == 4 ? token.bits ^ (negative ? 0x80000000u : 0u)
                          : floating(std::bit_cast<float>(static_cast<std::uint32_t>(token.bits)), negative);
        break;
      case Token::Kind::kDouble:
        bits = floating(std::bit_cast<double>(token.bits), negative);
        break;
      default:
        tokens_.fail("an initial value was expected");
    }
    tokens_.take();
    if (tokens_.is('(')) tokens_.refuse("single bytes of an address are not known as initial values");
    store(at, bits);
  }

  std::uint64_t integer(std::uint64_t value) const {
    if (is_float(variable_.type)) tokens_.fail("a floating-point constant was expected");
    return value;
  }

  std::uint64_t floating(double value, bool negative) const {
    if (negative) value = -value;
    if (size_ == 8) return std::bit_cast<std::uint64_t>(value);
    if (size_ == 4) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    tokens_.fail("a floating-point constant initialises 32 or 64 bits");
  }

  /// name, generic(name), and either with an offset.
  void symbol(std::uint64_t at) {
    Relocation relocation;
    relocation.position = tokens_.position();
    std::string_view name = tokens_.expect_name("a variable");
    const bool generic = name == "generic" && tokens_.accept('(');
    if (generic) {
      relocation.position = tokens_.position();
      name = tokens_.expect_name("a variable");
      tokens_.expect(')', "after generic(name");
    }
    relocation.offset = at;
    relocation.symbol = std::string(name);
    if (tokens_.is('+') || tokens_.is('-')) {
      const bool negative = tokens_.take().text == "-";
      const std::uint64_t offset = tokens_.expect_integer("an offset");
      relocation.addend = static_cast<std::int64_t>(negative ? ~offset + 1 : offset);
    }
    if (size_ != 8) throw ParseError(relocation.position, "only a 64-bit element can hold an address");
    variable_.relocations.push_back(std::move(relocation));
    store(at, 0);
  }

  void store(std::uint64_t at, std::uint64_t bits) {
    std::vector<std::uint8_t>& initial = variable_.initial;
    if (initial.size() < at + size_) initial.resize(at + size_, 0);
    for (std::uint32_t i = 0; i < std::min(size_, 8u); ++i) {
      initial[at + i] = static_cast<std::uint8_t>(bits >> (8 * i));
    }
  }

  TokenStream& tokens_;
  Variable& variable_;
  std::span<const std::uint64_t> bounds_;
  std::uint32_t size_;
};

}  // namespace

void parse_initialiser(TokenStream& tokens, Variable& variable, std::span<const std::uint64_t> bounds) {
  Initialiser(tokens, variable, bounds).parse();
}

}  // namespace flashmask::emulator::ptx
