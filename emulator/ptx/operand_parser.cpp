#include "emulator/ptx/operand_parser.h"

namespace flashmask::emulator::ptx {
namespace {

constexpr int kMostNestedVectors = 2;
constexpr std::size_t kMostElements = 512;

/// A label within a vector, a pair or an address would branch nowhere.
void expect_no_label(const Operand& operand) {
  if (operand.kind != Operand::Kind::kLabel) return;
  throw ParseError(operand.position, "the name '" + operand.name + "' is not declared");
}

}  // namespace

Operand OperandParser::parse() {
  return operand(0);
}

Operand OperandParser::begin(Operand::Kind kind) const {
  Operand operand;
  operand.kind = kind;
  operand.position = tokens_.position();
  return operand;
}

Operand OperandParser::operand(int depth) {
  Operand first = simple(depth);
  if (!tokens_.is('|')) return first;
  Operand pair = begin(Operand::Kind::kPair);
  tokens_.take();
  pair.position = first.position;
  pair.elements.push_back(std::move(first));
  pair.elements.push_back(simple(depth));
  for (const Operand& each : pair.elements) expect_no_label(each);
  return pair;
}

Operand OperandParser::simple(int depth) {
  if (tokens_.is('{')) return vector(depth);
  if (tokens_.is('[')) return address(depth);
  if (tokens_.is('(')) tokens_.refuse("a list or an expression in parentheses is not known as an operand");
  if (tokens_.accept('!')) {
    Operand result = name();
    result.negated = true;
    return result;
  }
  if (tokens_.peek().kind == Token::Kind::kName) return name();
  return number();
}

Operand OperandParser::number() {
  Operand result = begin(Operand::Kind::kInteger);
  const bool negative = tokens_.accept('-');
  if (!negative) tokens_.accept('+');
  const Token& token = tokens_.peek();
  result.bits = token.bits;
  switch (token.kind) {
    case Token::Kind::kInteger:
      if (negative) result.bits = ~token.bits + 1;
      break;
    case Token::Kind::kSingle:
      result.kind = Operand::Kind::kSingle;
      if (negative) result.bits ^= 0x80000000u;
      break;
    case Token::Kind::kDouble:
      result.kind = Operand::Kind::kDouble;
      if (negative) result.bits ^= std::uint64_t{1} << 63;
      break;
    default:
      tokens_.fail("an operand was expected");
  }
  tokens_.take();
  return result;
}

Operand OperandParser::vector(int depth) {
  if (depth == kMostNestedVectors) tokens_.fail("operands are nested too deeply");
  Operand result = begin(Operand::Kind::kVector);
  tokens_.take();
  do {
    if (result.elements.size() == kMostElements) {
      tokens_.fail("a vector operand has more than " + std::to_string(kMostElements) + " elements");
    }
    result.elements.push_back(operand(depth + 1));
    expect_no_label(result.elements.back());
  } while (tokens_.accept(','));
  tokens_.expect('}', "after a vector operand");
  return result;
}

/// [base + offset] or [base + offset, {coordinates}].
Operand OperandParser::address(int depth) {
  Operand result = begin(Operand::Kind::kAddress);
  tokens_.take();
  if (tokens_.peek().kind == Token::Kind::kName) {
    result.elements.push_back(name());
    expect_no_label(result.elements.back());
    result.bits = offsets();
    if (tokens_.accept(',')) {
      if (!tokens_.is('{')) tokens_.fail("coordinates in braces were expected");
      result.elements.push_back(vector(depth + 1));
    }
  } else {
    const Operand constant = number();
    if (constant.kind != Operand::Kind::kInteger) throw ParseError(constant.position, "an address was expected");
    result.bits = constant.bits + offsets();
  }
  tokens_.expect(']', "after an address");
  return result;
}

/// +16, -16, +-16 and sums of them.
std::uint64_t OperandParser::offsets() {
  std::uint64_t sum = 0;
  while (tokens_.is('+') || tokens_.is('-')) {
    const bool negative = tokens_.take().text == "-";
    const bool twice = tokens_.accept('-');
    const std::uint64_t offset = tokens_.expect_integer("an offset");
    sum += negative != twice ? ~offset + 1 : offset;
  }
  return sum;
}

Operand OperandParser::name() {
  Operand result = begin(Operand::Kind::kLabel);
  const std::string_view text = tokens_.expect_name("an operand");
  result.name = std::string(text);
  if (text == "_") {
    result.kind = Operand::Kind::kSink;
  } else if (const std::optional<Symbol> symbol = symbols_.find(text)) {
    result.kind = symbol->kind == Symbol::Kind::kRegister ? Operand::Kind::kRegister : Operand::Kind::kSymbol;
    result.index = symbol->index;
  } else if (module_variables_.contains(text)) {
    result.kind = Operand::Kind::kSymbol;
  } else if (text[0] == '%') {
    return special(std::move(result));
  } else if (text == "WARP_SZ") {
    result.kind = Operand::Kind::kInteger;
    result.bits = 32;
  }
  return result;
}

/// %tid.x, or a register that its family does not have.
Operand OperandParser::special(Operand operand) {
  if (const std::optional<std::uint32_t> size = symbols_.family_size(operand.name)) {
    throw ParseError(operand.position, "the register " + operand.name + " is not declared: its family has " +
                                           std::to_string(*size) + " members");
  }
  operand.kind = Operand::Kind::kSpecial;
  if (tokens_.peek().kind == Token::Kind::kDotted && !tokens_.peek().spaced) {
    operand.name += "." + std::string(tokens_.take().text);
  }
  return operand;
}

}  // namespace flashmask::emulator::ptx
