#include "emulator/ptx/declaration.h"

#include <bit>

#include "emulator/ptx/initialiser.h"

namespace flashmask::emulator::ptx {
namespace {

constexpr std::uint64_t kMostAlignment = 65536;
constexpr std::size_t kMostDimensions = 8;

std::uint64_t parse_alignment(TokenStream& tokens) {
  if (tokens.peek().kind != Token::Kind::kInteger || !std::has_single_bit(tokens.peek().bits) ||
      tokens.peek().bits > kMostAlignment) {
    tokens.fail("an alignment, a power of two up to " + std::to_string(kMostAlignment) + ", was expected");
  }
  return tokens.take().bits;
}

std::uint32_t parse_lanes(TokenStream& tokens) {
  if (tokens.accept_dotted("v2")) return 2;
  if (tokens.accept_dotted("v4")) return 4;
  return 1;
}

Type parse_type(TokenStream& tokens) {
  if (tokens.is_dotted("attribute")) tokens.refuse("the directive .attribute is not known");
  const std::optional<Type> type =
      tokens.peek().kind == Token::Kind::kDotted ? type_named(tokens.peek().text) : std::nullopt;
  if (!type || *type == Type::kPred) tokens.fail("a type was expected");
  tokens.take();
  return *type;
}

/// What a pointer parameter points to does not matter here.
void skip_pointer_attribute(TokenStream& tokens) {
  if (!tokens.accept_dotted("ptr")) return;
  if (tokens.peek().kind == Token::Kind::kDotted && space_named(tokens.peek().text)) tokens.take();
  if (tokens.accept_dotted("align")) parse_alignment(tokens);
}

/// `[4][2]`; the first bound may be missing, and is 0 then.
std::vector<std::uint64_t> parse_bounds(TokenStream& tokens) {
  std::vector<std::uint64_t> bounds;
  while (tokens.accept('[')) {
    if (bounds.size() == kMostDimensions) {
      tokens.refuse("an array of more than " + std::to_string(kMostDimensions) + " dimensions");
    }
    if (bounds.empty() && tokens.accept(']')) {
      bounds.push_back(0);
      continue;
    }
    if (tokens.peek().kind != Token::Kind::kInteger || tokens.peek().bits == 0) {
      tokens.fail("an array bound of at least 1 was expected");
    }
    bounds.push_back(tokens.take().bits);
    tokens.expect(']', "after an array bound");
  }
  return bounds;
}

/// The size of `variable`; 0 when the first bound is missing.
std::uint64_t bytes_of(const Variable& variable, const std::vector<std::uint64_t>& bounds) {
  std::uint64_t bytes = size_of(variable.type);
  // From the last one, so that the rows are checked even when their number is missing.
  for (auto bound = bounds.rbegin(); bound != bounds.rend(); ++bound) {
    if (*bound != 0 && bytes > kMostVariableBytes / *bound) {
      throw ParseError(variable.position, "'" + variable.name + "' is too large: " +
                                              std::to_string(kMostVariableBytes) + " bytes are allowed");
    }
    bytes *= *bound;
  }
  return bytes;
}

void parse_values(TokenStream& tokens, Variable& variable, const std::vector<std::uint64_t>& bounds,
                  const DeclarationRules& rules) {
  if (rules.initial_bytes_left == nullptr || rules.external) {
    tokens.fail("'" + variable.name + "' cannot have initial values here");
  }
  const auto check_room = [&] {
    if (variable.bytes <= *rules.initial_bytes_left) return;
    throw ParseError(variable.position,
                     "the variables with initial values take more than " + std::to_string(kMostInitialBytes) +
                         " bytes with '" + variable.name + "'",
                     true);
  };
  check_room();
  tokens.take();
  parse_initialiser(tokens, variable, bounds);
  check_room();
  *rules.initial_bytes_left -= variable.bytes;
}

}  // namespace

std::vector<Variable> parse_variables(TokenStream& tokens, Space space, const DeclarationRules& rules) {
  Variable pattern;
  pattern.space = space;
  pattern.external = rules.external;
  const std::uint64_t alignment = tokens.accept_dotted("align") ? parse_alignment(tokens) : 0;
  const std::uint32_t lanes = parse_lanes(tokens);
  pattern.type = parse_type(tokens);
  skip_pointer_attribute(tokens);
  pattern.alignment = alignment != 0 ? alignment : std::uint64_t{size_of(pattern.type)} * lanes;
  std::vector<Variable> variables;
  do {
    Variable variable = pattern;
    variable.position = tokens.position();
    variable.name = std::string(tokens.expect_name("the name of a variable"));
    std::vector<std::uint64_t> bounds = parse_bounds(tokens);
    if (lanes != 1) bounds.push_back(lanes);
    variable.bytes = bytes_of(variable, bounds);
    if (tokens.is('=')) parse_values(tokens, variable, bounds, rules);
    if (variable.bytes == 0 && !variable.external) {
      throw ParseError(variable.position, "the array '" + variable.name + "' needs a bound or .extern");
    }
    variables.push_back(std::move(variable));
  } while (rules.several && tokens.accept(','));
  return variables;
}

}  // namespace flashmask::emulator::ptx
