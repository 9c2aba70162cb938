#include "emulator/ptx/declaration.h"

#include <bit>

namespace flashmask::emulator::ptx {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 32;

/// Values of an initialiser, written one after the other; braces only group.
class Initialiser {
 public:
  Initialiser(TokenStream& tokens, Variable& variable) : tokens_(tokens), variable_(variable) {}

  void parse() {
    variable_.initial.assign(variable_.bytes, 0);
    value();
  }

 private:
  void value() {
    int depth = 0;
    do {
      if (tokens_.accept('{')) {
        ++depth;
        continue;
      }
      if (tokens_.accept('}')) {
        --depth;
        continue;
      }
      if (depth > 0 && tokens_.accept(',')) continue;
      scalar();
    } while (depth > 0);
  }

  void scalar() {
    const std::uint32_t size = size_of(variable_.type);
    if (at_ + size > variable_.bytes) tokens_.fail("more initial values than '" + variable_.name + "' has elements");
    const bool negative = tokens_.accept('-');
    const Token token = tokens_.peek();
    std::uint64_t bits = token.bits;
    switch (token.kind) {
      case Token::Kind::kInteger:
        tokens_.take();
        if (negative) bits = ~bits + 1;
        break;
      case Token::Kind::kSingle:
        tokens_.take();
        if (negative) bits ^= 0x80000000u;
        break;
      case Token::Kind::kDouble:
        tokens_.take();
        if (negative) bits ^= std::uint64_t{1} << 63;
        if (size == 4) bits = std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
        break;
      case Token::Kind::kName:
        symbol();
        bits = 0;
        break;
      default:
        tokens_.fail("an initial value was expected");
    }
    for (std::uint32_t i = 0; i < size && i < 8; ++i) {
      variable_.initial[at_ + i] = static_cast<std::uint8_t>(bits >> (8 * i));
    }
    at_ += size;
  }

  void symbol() {
    std::string_view name = tokens_.take().text;
    const bool generic = name == "generic" && tokens_.accept('(');
    if (generic) name = tokens_.expect_name("a variable");
    Relocation relocation{at_, std::string(name), 0};
    if (generic) tokens_.expect(')', "after generic(name");
    if (tokens_.accept('+')) relocation.addend = static_cast<std::int64_t>(tokens_.expect_integer("an offset"));
    if (size_of(variable_.type) != 8) tokens_.fail("only a 64-bit element can hold an address");
    variable_.relocations.push_back(relocation);
  }

  TokenStream& tokens_;
  Variable& variable_;
  std::uint64_t at_ = 0;
};

Type parse_type(TokenStream& tokens, std::uint32_t& lanes) {
  lanes = 1;
  if (tokens.accept_dotted("v2")) lanes = 2;
  if (tokens.accept_dotted("v4")) lanes = 4;
  if (tokens.peek().kind != Token::Kind::kDotted) tokens.fail("a type was expected");
  const std::optional<Type> type = type_named(tokens.peek().text);
  if (!type || *type == Type::kPred) tokens.fail("a type was expected");
  tokens.take();
  return *type;
}

void parse_bounds(TokenStream& tokens, Variable& variable) {
  while (tokens.accept('[')) {
    if (tokens.accept(']')) {
      variable.bytes = 0;
      continue;
    }
    const std::uint64_t count = tokens.expect_integer("an array bound");
    if (count != 0 && variable.bytes > kMostBytes / count) tokens.fail("'" + variable.name + "' is too large");
    variable.bytes *= count;
    tokens.expect(']', "after an array bound");
  }
}

}  // namespace

std::vector<Variable> parse_variables(TokenStream& tokens, Space space, bool several) {
  Variable pattern;
  pattern.space = space;
  pattern.line = tokens.line();
  std::uint64_t alignment = 0;
  if (tokens.accept_dotted("align")) alignment = tokens.expect_integer("an alignment");
  std::uint32_t lanes = 1;
  pattern.type = parse_type(tokens, lanes);
  // What a pointer parameter points to does not matter here.
  if (tokens.accept_dotted("ptr")) {
    if (tokens.peek().kind == Token::Kind::kDotted && space_named(tokens.peek().text)) tokens.take();
    if (tokens.accept_dotted("align")) tokens.expect_integer("an alignment");
  }
  pattern.alignment = alignment != 0 ? alignment : std::uint64_t{size_of(pattern.type)} * lanes;
  if (!std::has_single_bit(pattern.alignment) || pattern.alignment > 65536) {
    tokens.fail("an alignment must be a power of two up to 65536");
  }
  std::vector<Variable> variables;
  do {
    Variable variable = pattern;
    variable.name = std::string(tokens.expect_name("the name of a variable"));
    variable.bytes = std::uint64_t{size_of(pattern.type)} * lanes;
    parse_bounds(tokens, variable);
    if (tokens.accept('=')) Initialiser(tokens, variable).parse();
    variables.push_back(std::move(variable));
  } while (several && tokens.accept(','));
  return variables;
}

}  // namespace flashmask::emulator::ptx
